// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/kubernetes/pkg/volume/util"
)

// The kubelet's AtomicWriter as the other side of publish_bench, in the directory that is the argument: each line on
// standard input, "rotate N" or "check N", is N writes; the answer is one line with the nanoseconds of each.
func atomicWriter() int {
	if err := answerWithTimes(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "atomic-writer:", err)
		return 1
	}
	return 0
}

func answerWithTimes(directory string) error {
	writer, err := util.NewAtomicWriter(directory, "bench")
	if err != nil {
		return err
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
			return err
		}
		times := make([]string, 0, rounds)
		for range rounds {
			if what == "rotate" {
				number++
			}
			payload["token"] = util.FileProjection{Data: []byte(fmt.Sprint(number) + strings.Repeat("t", 1000)), Mode: 0644}
			start := time.Now()
			if err := writer.Write(payload, nil); err != nil {
				return err
			}
			times = append(times, fmt.Sprint(time.Since(start).Nanoseconds()))
		}
		fmt.Println(strings.Join(times, " "))
	}
	return input.Err()
}
