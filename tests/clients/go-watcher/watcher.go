// SPDX-License-Identifier: Apache-2.0

// watcher directory|file VOLUME: says when it has read which token, woken by fsnotify.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

func main() {
	volume := os.Args[2]
	token, data := filepath.Join(volume, "token"), filepath.Join(volume, "..data")
	watched := map[string]string{"directory": volume, "file": token}[os.Args[1]]
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		panic(err)
	}
	look := func() {
		bytes, err := os.ReadFile(token)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%.6f %x\n", float64(time.Now().UnixMicro())/1e6, sha256.Sum256(bytes))
	}
	// Watch, then look: what changes in between wakes us again.
	watch := func() {
		if err := watcher.Add(watched); err != nil {
			panic(err)
		}
		look()
	}
	watch()
	for event := range watcher.Events {
		if event.Name == data && event.Has(fsnotify.Create) {
			look()
		} else if event.Name == token && event.Has(fsnotify.Remove) {
			watch() // the old one went with the old file
		}
	}
}
