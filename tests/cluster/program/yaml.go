// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"

	kubernetesjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// What Kubernetes makes of a document: its JSON, or why it is none.
type reading struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

// As the kubelet reads a manifest: what begins as JSON is JSON, the rest becomes JSON by sigs.k8s.io/yaml. Read and written
// once more, so that every number is spelled as a decoder will find it.
func read(document string) reading {
	text, err := yaml.ToJSON([]byte(document))
	if err != nil {
		return reading{Error: err.Error()}
	}
	var value any
	if err := kubernetesjson.Unmarshal(text, &value); err != nil {
		return reading{Error: err.Error()}
	}
	written, err := json.Marshal(value)
	if err != nil {
		return reading{Error: err.Error()}
	}
	return reading{JSON: written}
}

// Documents as a JSON list of texts on standard input; a list of readings on standard output.
func yamlToJSON() int {
	var documents []string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		fmt.Fprintln(os.Stderr, "yaml-to-json: standard input:", err)
		return 1
	}
	readings := make([]reading, 0, len(documents))
	for _, document := range documents {
		readings = append(readings, read(document))
	}
	if err := json.NewEncoder(os.Stdout).Encode(readings); err != nil {
		fmt.Fprintln(os.Stderr, "yaml-to-json: standard output:", err)
		return 1
	}
	return 0
}
