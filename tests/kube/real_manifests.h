// SPDX-License-Identifier: Apache-2.0
// Manifests as people have them: shapes taken from kubeadm, cloud webhooks, Vault, Istio and kubectl, contents made up.
//
// Shapes   text, for decode_manifests().     Owns  nothing.     Threads  any.     Errors  none.
#pragma once

#include <string_view>

namespace tokenlet::kube {

inline constexpr std::string_view kKubeadmStaticPod = R"(apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 192.0.2.10:6443
  creationTimestamp: null
  labels:
    component: kube-apiserver
    tier: control-plane
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=192.0.2.10
    - --service-account-issuer=https://kubernetes.default.svc.cluster.local
    image: registry.k8s.io/kube-apiserver:v1.36.3
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: 192.0.2.10
        path: /livez
        port: 6443
        scheme: HTTPS
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    name: kube-apiserver
    resources:
      requests:
        cpu: 250m
    volumeMounts:
    - mountPath: /etc/ssl/certs
      name: ca-certs
      readOnly: true
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  volumes:
  - hostPath:
      path: /etc/ssl/certs
      type: DirectoryOrCreate
    name: ca-certs
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
)";

// kubectl get pod -o yaml, after the EKS webhook and service account admission.
inline constexpr std::string_view kEksDump = R"(apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{},"name":"uploader","namespace":"media"},"spec":{}}
  creationTimestamp: "2026-11-20T10:11:12Z"
  generateName: uploader-7c9f4d5b6-
  generation: 1
  labels:
    app.kubernetes.io/name: uploader
    pod-template-hash: 7c9f4d5b6
  managedFields:
  - apiVersion: v1
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata:
        f:labels:
          .: {}
          f:app.kubernetes.io/name: {}
    manager: kube-controller-manager
    operation: Update
    time: "2026-11-20T10:11:12Z"
  name: uploader-7c9f4d5b6-x2x8k
  namespace: media
  ownerReferences:
  - apiVersion: apps/v1
    blockOwnerDeletion: true
    controller: true
    kind: ReplicaSet
    name: uploader-7c9f4d5b6
    uid: 1b1b1b1b-0000-4000-8000-000000000001
  resourceVersion: "123456"
  uid: 2c2c2c2c-0000-4000-8000-000000000002
spec:
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions:
          - key: kubernetes.io/arch
            operator: In
            values: [amd64]
  containers:
  - env:
    - name: AWS_STS_REGIONAL_ENDPOINTS
      value: regional
    - name: AWS_ROLE_ARN
      value: arn:aws:iam::111122223333:role/uploader
    - name: AWS_WEB_IDENTITY_TOKEN_FILE
      value: /var/run/secrets/eks.amazonaws.com/serviceaccount/token
    - name: POD_IP
      valueFrom:
        fieldRef:
          apiVersion: v1
          fieldPath: status.podIP
    image: 111122223333.dkr.ecr.eu-central-1.amazonaws.com/uploader:3.2
    imagePullPolicy: IfNotPresent
    name: uploader
    resources:
      limits:
        memory: 256Mi
        nvidia.com/gpu: "1"
      requests:
        cpu: 100m
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    volumeMounts:
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: kube-api-access-pqr7s
      readOnly: true
    - mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount
      name: aws-iam-token
      readOnly: true
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  nodeName: ip-192-0-2-20.eu-central-1.compute.internal
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext:
    fsGroup: 65534
  serviceAccount: uploader
  serviceAccountName: uploader
  terminationGracePeriodSeconds: 30
  tolerations:
  - effect: NoExecute
    key: node.kubernetes.io/not-ready
    operator: Exists
    tolerationSeconds: 300
  volumes:
  - name: aws-iam-token
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken:
          audience: sts.amazonaws.com
          expirationSeconds: 86400
          path: token
  - name: kube-api-access-pqr7s
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken:
          expirationSeconds: 3607
          path: token
      - configMap:
          items:
          - key: ca.crt
            path: ca.crt
          name: kube-root-ca.crt
      - downwardAPI:
          items:
          - fieldRef:
              apiVersion: v1
              fieldPath: metadata.namespace
            path: namespace
status:
  conditions:
  - lastProbeTime: null
    lastTransitionTime: "2026-11-20T10:11:14Z"
    observedGeneration: 1
    status: "True"
    type: Ready
  containerStatuses:
  - containerID: containerd://0123
    name: uploader
    ready: true
    restartCount: 0
    state:
      running:
        startedAt: "2026-11-20T10:11:14Z"
  phase: Running
  podIPs:
  - ip: 198.51.100.7
  qosClass: Burstable
)";

inline constexpr std::string_view kGkeAndVault = R"(# Workload identity federation for a machine outside of Google Cloud
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reporter
  namespace: finance
  annotations:
    iam.gke.io/gcp-service-account: reporter@example-project.iam.gserviceaccount.com
automountServiceAccountToken: false
imagePullSecrets:
- name: registry
secrets:
- name: reporter-token
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: gcp-config
  namespace: finance
data:
  config.json: |-
    {
      "type": "external_account",
      "credential_source": {"file": "/var/run/secrets/gcp/token"}
    }
binaryData:
  logo.png: iVBORw0KGgo=
immutable: true
---
apiVersion: v1
kind: Secret
metadata: {name: vault-ca, namespace: finance}
type: kubernetes.io/tls
data:
  tls.crt: LS0tLS1CRUdJTg==
  tls.key: |
    LS0tLS1C
    RUdJTg==
stringData:
  note: plain
---
apiVersion: v1
kind: Pod
metadata:
  name: reporter
  namespace: finance
  annotations:
    vault.hashicorp.com/agent-inject: "true"
    vault.hashicorp.com/role: "reporter"
spec:
  serviceAccountName: reporter
  automountServiceAccountToken: false
  shareProcessNamespace: true
  securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, supplementalGroups: [2000, 3000]}
  initContainers:
  - name: vault-agent-init
    image: hashicorp/vault:1.17.2
    restartPolicy: Always
    command: ["/bin/sh", "-ec"]
    args: ["echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true, runAsUser: 100}
    volumeMounts: [{name: vault-token, mountPath: /var/run/secrets/vault}, {name: home, mountPath: /home/vault}]
  containers:
  - name: app
    image: example.org/reporter@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
    startupProbe: {tcpSocket: {port: 8080}, failureThreshold: 30}
    resources: {limits: {cpu: "1", memory: 1Gi, ephemeral-storage: 2Gi, hugepages-2Mi: 64Mi}, requests: {cpu: 0.5}}
    volumeMounts:
    - {name: gcp, mountPath: /var/run/secrets/gcp, readOnly: true}
    - {name: podinfo, mountPath: /etc/podinfo}
    - {name: trust, mountPath: /etc/trust, recursiveReadOnly: IfPossible}
    - {name: home, mountPath: /scratch, subPath: app}
  volumes:
  - name: home
    emptyDir: {medium: Memory}
  - name: vault-token
    projected:
      defaultMode: 0400
      sources:
      - serviceAccountToken: {audience: vault, expirationSeconds: 7200, path: token}
      - secret: {name: vault-ca, optional: true, items: [{key: tls.crt, path: tls/ca.crt, mode: 0444}]}
  - name: gcp
    projected:
      sources:
      - serviceAccountToken:
          audience: //iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/edge/providers/tokenlet
          path: token
      - configMap: {name: gcp-config, items: [{key: config.json, path: config.json}]}
  - name: podinfo
    downwardAPI:
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: role, fieldRef: {fieldPath: "metadata.annotations['vault.hashicorp.com/role']"}}
      - {path: cpu, resourceFieldRef: {containerName: app, resource: limits.cpu, divisor: 1m}}
      - {path: mem, resourceFieldRef: {containerName: app, resource: requests.memory, divisor: 1Mi}, mode: 0440}
  - name: trust
    projected:
      sources:
      - clusterTrustBundle: {signerName: example.com/issuer, labelSelector: {}, path: ca.pem, optional: true}
      - clusterTrustBundle: {name: "example.com:other:main", path: other.pem}
---
apiVersion: certificates.k8s.io/v1beta1
kind: ClusterTrustBundle
metadata: {name: "example.com:other:main"}
spec:
  signerName: example.com/other
  trustBundle: |
    -----BEGIN CERTIFICATE-----
    MIIB
    -----END CERTIFICATE-----
)";

inline constexpr std::string_view kIstioJson = R"({
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "details", "labels": {"security.istio.io/tlsMode": "istio"}},
    "spec": {
        "containers": [{"name": "details", "image": "istio/details:1.20"},
                       {"name": "istio-proxy", "image": "istio/proxyv2",
                        "volumeMounts": [{"name": "istio-token", "mountPath": "/var/run/secrets/tokens"}]}],
        "volumes": [{"name": "workload-socket", "emptyDir": {}},
                    {"name": "istio-token",
                     "projected": {"defaultMode": 420,
                                   "sources": [{"serviceAccountToken": {"audience": "istio-ca",
                                                                        "expirationSeconds": 43200,
                                                                        "path": "istio-token"}}]}}]
    }
}
)";

// kubectl get pods,configmaps -o yaml
inline constexpr std::string_view kKubectlList = R"(apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: one, namespace: a}
  spec:
    containers: [{name: app}]
- apiVersion: v1
  data: {k: v}
  kind: ConfigMap
  metadata: {name: two, namespace: a}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: three, namespace: a}
kind: List
metadata:
  resourceVersion: ""
)";

}  // namespace tokenlet::kube
