// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace/noop"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cri "k8s.io/cri-client/pkg"
	fakecri "k8s.io/cri-client/pkg/fake"
	cadvisor "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
)

// What the kubelet may not be in the way of: more Pods and requests than any test has.
const (
	maxPods           = 10000
	requestsPerSecond = 50000
	runtimePatience   = 15 * time.Second
)

// The kubelet's own volume and token code on a runtime that starts nothing. Unlike kubemark it listens nowhere, keeps
// everything in the directory that it is given, and can be told of feature gates.
func hollowKubelet() *cobra.Command {
	var name, kubeconfig, root, gates string
	command := &cobra.Command{
		Use:  "hollow-kubelet",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := utilfeature.DefaultMutableFeatureGate.Set(gates); err != nil {
				return err
			}
			return runHollowKubelet(command.Context(), name, kubeconfig, root)
		},
	}
	command.Flags().StringVar(&name, "name", "", "of the node")
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "with the node's credentials")
	command.Flags().StringVar(&root, "root", "", "the directory for everything; volumes appear at ROOT/pods/UID/volumes")
	command.Flags().StringVar(&gates, "feature-gates", "", "NAME=true,...")
	return command
}

func runHollowKubelet(ctx context.Context, name, kubeconfig, root string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "hollow-kubelet"
	config.QPS, config.Burst = requestsPerSecond, requestsPerSecond
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}

	flags, kubelet := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{NodeName: name, MaxPods: maxPods})
	// It has made itself a directory in /tmp.
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return err
	}
	flags.RootDirectory = root
	kubelet.EnableServer = false
	kubelet.RegistryPullQPS = 0 // no limit
	kubelet.StaticPodPath = filepath.Join(root, "static-pods")
	kubelet.PodLogsDir = filepath.Join(root, "pod-logs")
	for _, directory := range []string{kubelet.StaticPodPath, kubelet.PodLogsDir} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}

	endpoint := "unix://" + filepath.Join(root, "runtime.sock")
	runtime := fakecri.NewFakeRemoteRuntime()
	if err := runtime.Start(endpoint); err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	defer runtime.Stop()
	runtimeClient, err := cri.NewRemoteRuntimeService(ctx, endpoint, runtimePatience, noop.NewTracerProvider(), false)
	if err != nil {
		return fmt.Errorf("runtime client: %w", err)
	}
	kubemark.NewHollowKubelet(flags, kubelet, client, client, &cadvisor.Fake{NodeName: name}, runtime.ImageService,
		runtimeClient, cm.NewStubContainerManager()).Run(ctx)
	return nil
}
