// SPDX-License-Identifier: Apache-2.0
// watcher.mjs directory|file VOLUME: says when it has read which token, woken by chokidar.
import { createHash } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { watch } from "chokidar";

const habit = process.argv[2], volume = realpathSync(process.argv[3]); // without links, chokidar sees nothing through one
const token = join(volume, "token"), data = join(volume, "..data");

function look() {
    const hash = createHash("sha256").update(readFileSync(token)).digest("hex");
    console.log(Date.now() / 1000, hash);
}

const watcher = habit === "file" ? watch(token) : watch(volume, { followSymlinks: false, depth: 0 });
watcher.on("ready", look).on("change", path => {
    // chokidar first tells of the change, then watches the new file; only then may we look.
    if (habit === "file" || path === data)
        setImmediate(look);
});
