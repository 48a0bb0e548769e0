// SPDX-License-Identifier: Apache-2.0

// The kubelet's own AtomicWriter as the other side of publish_bench: each line on stdin, "rotate N" or "check N", is N
// writes to the directory named by the argument; the answer is one line with the nanoseconds of each.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"tokenlet.dev/bench/upstream"
)

var _ = sets.New[string] // named here so that go.mod lists what the upstream files need

func main() {
	writer, err := util.NewAtomicWriter(os.Args[1], "bench")
	if err != nil {
		stop(err)
	}
	number := 0
	payload := map[string]util.FileProjection{
		"ca.crt":    {Data: []byte(strings.Repeat("c", 1100)), Mode: 0644},
		"namespace": {Data: []byte("production"), Mode: 0644},
	}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var what string
		var rounds int
		if _, err := fmt.Sscanf(input.Text(), "%s %d", &what, &rounds); err != nil {
			stop(err)
		}
		times := make([]string, 0, rounds)
		for range rounds {
			if what == "rotate" {
				number++
			}
			payload["token"] = util.FileProjection{Data: []byte(fmt.Sprint(number) + strings.Repeat("t", 1000)), Mode: 0644}
			start := time.Now()
			if err := writer.Write(payload, nil); err != nil {
				stop(err)
			}
			times = append(times, fmt.Sprint(time.Since(start).Nanoseconds()))
		}
		fmt.Println(strings.Join(times, " "))
	}
}

func stop(err error) {
	fmt.Fprintln(os.Stderr, "atomic_writer:", err)
	os.Exit(1)
}
