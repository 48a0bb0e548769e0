// SPDX-License-Identifier: Apache-2.0

// client CALLS: asks the API server who it is, as a Pod does with client-go, and says what failed.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func main() {
	calls, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		panic(err)
	}
	config.QPS = -1 // no limit; by default five calls a second
	client := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews()
	for range calls {
		if _, err := client.Create(context.Background(), &authentication.SelfSubjectReview{}, meta.CreateOptions{}); err != nil {
			fmt.Println("failed:", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
