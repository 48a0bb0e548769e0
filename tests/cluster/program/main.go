// SPDX-License-Identifier: Apache-2.0

// One program that is the whole control plane: PROGRAM NAME [ARGUMENT...], where NAME is a key of programs below.
// One, because each of them is mostly the same hundred megabytes of Kubernetes: built and linked once, kept once.
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

var programs = map[string]func() int{
	"etcd":                    etcd,
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kubectl":                 command(kubectl.NewDefaultKubectlCommand),
	"hollow-kubelet":          command(hollowKubelet),
	"yaml-to-json":            yamlToJSON,
	"atomic-writer":           atomicWriter,
}

func command(make func() *cobra.Command) func() int {
	return func() int { return cli.Run(make()) }
}

func etcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func main() {
	if len(os.Args) > 1 {
		if run, found := programs[os.Args[1]]; found {
			// Each finds the arguments that it would have as a program of its own.
			os.Args = slices.Delete(os.Args, 0, 1)
			os.Exit(run())
		}
	}
	fmt.Fprintln(os.Stderr, "usage: control_plane PROGRAM [ARGUMENT...]; main.go has the list of programs")
	os.Exit(2)
}
