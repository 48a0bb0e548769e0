# SPDX-License-Identifier: Apache-2.0
"""client.py CALLS: asks the API server who it is, as a Pod does with the Python client, and says what failed."""
import sys
import time

from kubernetes import client, config

config.load_incluster_config()
api = client.AuthenticationV1Api()
for _ in range(int(sys.argv[1])):
    try:
        api.create_self_subject_review({})
    except client.ApiException as error:
        print("failed:", error.status, error.body, flush=True)
    time.sleep(0.05)
