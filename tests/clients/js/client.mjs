// SPDX-License-Identifier: Apache-2.0
// client.mjs CALLS: asks the API server who it is, as a Pod does with the JavaScript client, and says what failed.
import { setTimeout } from "node:timers/promises";
import { AuthenticationV1Api, KubeConfig } from "@kubernetes/client-node";

const config = new KubeConfig();
config.loadFromCluster();
const api = config.makeApiClient(AuthenticationV1Api);
for (let calls = Number(process.argv[2]); calls > 0; --calls) {
    try {
        await api.createSelfSubjectReview({ body: {} });
    } catch (error) {
        console.log("failed:", error.code, error.message);
    }
    await setTimeout(50);
}
