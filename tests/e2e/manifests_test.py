# SPDX-License-Identifier: Apache-2.0
"""Whatever is dropped into the manifest directory, and however: a clear message, and nothing else is disturbed."""
import os
import shutil
import subprocess
import unittest

import daemon
from daemon import pod, wait_until

ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(ord('a') + i)}: &{chr(ord('a') + i)} [{','.join(['*' + chr(ord('a') + i - 1)] * 10)}]\n" for i in range(1, 9))
UID = "11111111-2222-4333-8444-555555555555"


class BadManifest(unittest.TestCase):
    """One agent and one good Pod for all cases: each must leave it as it is."""

    @classmethod
    def setUpClass(cls):
        cls.agent = daemon.Daemon()
        cls.addClassCleanup(cls.agent.__exit__)
        cls.agent.drop("good.yaml", pod("good", uid=UID))
        cls.agent.start_and_settle()
        cls.token = cls.agent.token("good")

    def refused(self, *parts: str):
        """The problem that names all parts, once it is there."""
        def found():
            return [problem for problem in self.agent.status()["problems"] if all(part in problem for part in parts)]
        problem = wait_until(found, f"a problem with {parts} in {self.agent.status()['problems']}")[0]
        self.assertNotIn("\n", problem)
        self.undisturbed()

    def undisturbed(self):
        self.assertTrue(self.agent.is_ready("good"))
        self.assertEqual(self.token, self.agent.token("good"))
        self.assertEqual(["good"], sorted(os.listdir(self.agent.base / "by-name" / "shop")))

    def tearDown(self):
        for entry in self.agent.manifests.iterdir():
            if entry.name != "good.yaml":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        wait_until(lambda: not self.agent.status()["problems"], "the problems to go with their files")

    def test_is_named_with_file_line_and_field(self):
        cases = (
            ("no YAML", "{ broken", ("line",)),
            ("a lifetime below the least", pod("short", seconds=300), ("expirationSeconds", "300")),
            ("a field that does not exist", pod("typo").replace("audience:", "audiense:"), ("audiense", "did you mean", "audience")),
            ("a path that leads out", pod("out").replace("path: token", "path: ../token"), ("path",)),
            ("a uid that is a path", pod("up", uid="../../etc"), ("uid",)),
            ("a uid that is too long", pod("long", uid="a" * 64), ("uid",)),
            ("an alias bomb", ALIAS_BOMB, ("100000",)),
            ("a name that is none", pod("Not_A_Name"), ("name",)),
            ("the same name twice", pod("good"), ("good.yaml",)),
            ("the same uid twice", pod("twin", uid=UID), (UID,)),
        )
        for name, text, parts in cases:
            with self.subTest(name):
                self.agent.drop("zz-bad.yaml", text)
                self.refused("zz-bad.yaml", *parts)
                (self.agent.manifests / "zz-bad.yaml").unlink()
                wait_until(lambda: not self.agent.status()["problems"], "the problem to go with its file")

    def test_that_is_junk_of_ten_megabytes_is_refused(self):
        self.agent.drop("junk.yaml", "\x00\xff junk\n" * (10 * 1024 * 1024 // 8))
        self.refused("junk.yaml")

    def test_that_is_no_regular_file_is_refused(self):
        os.mkfifo(self.agent.manifests / "fifo.yaml")
        self.refused("fifo.yaml")
        (self.agent.manifests / "loop.yaml").symlink_to("loop.yaml")
        self.refused("loop.yaml")

    def test_beside_good_documents_in_one_file_takes_none_of_them_along(self):
        self.agent.drop("mixed.yaml", pod("first") + "---\n" + pod("second", seconds=1) + "---\n" + pod("third"))
        wait_until(lambda: self.agent.is_ready("first") and self.agent.is_ready("third"), "the good ones")
        self.assertIsNone(self.agent.pod_status("second"))
        problem = wait_until(lambda: self.agent.status()["problems"], "the bad one")[0]
        self.assertIn("document 2", problem)
        (self.agent.manifests / "mixed.yaml").unlink()
        wait_until(lambda: self.agent.pod_status("first") is None and self.agent.pod_status("third") is None
                   and not (self.agent.base / "by-name/shop/first").exists(), "them to leave")

    def test_that_names_an_unknown_account_says_so_and_keeps_nobody_busy(self):
        with daemon.Daemon() as agent:
            agent.drop("ghost.yaml", pod("ghost").replace("spec:", "spec:\n  serviceAccountName: ghost"))
            agent.start_and_settle()
            self.assertIn('serviceaccount "ghost" not found', agent.pod_status("ghost")["message"])
            agent.wait_for_rest()

    def test_that_was_good_before_leaves_the_last_good_version_in_force(self):
        self.agent.drop("turns.yaml", pod("turns"))
        wait_until(lambda: self.agent.is_ready("turns"), "the good version")
        token, uid = self.agent.token("turns"), self.agent.pod_status("turns")["uid"]
        self.agent.drop("turns.yaml", pod("turns").replace("kind: Pod", "kind: Pd"))
        wait_until(lambda: self.agent.status()["problems"], "the bad version's problem")
        self.assertEqual(token, self.agent.token("turns"))
        self.agent.drop("turns.yaml", pod("turns"))
        wait_until(lambda: not self.agent.status()["problems"], "the problem to be over")
        self.assertEqual((token, uid), (self.agent.token("turns"), self.agent.pod_status("turns")["uid"]))
        (self.agent.manifests / "turns.yaml").unlink()
        wait_until(lambda: self.agent.pod_status("turns") is None, "it to leave")


class ManifestDirectory(unittest.TestCase):
    """The directory as a whole turns bad, and comes back: nobody loses a volume or an identity."""

    def setUp(self):
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.names = [f"pod-{i}" for i in range(5)]
        for name in self.names:
            self.agent.drop(f"{name}.yaml", pod(name))
        self.agent.start_and_settle()
        self.before = self.seen()

    def seen(self) -> dict:
        uids = {shown["name"]: shown["uid"] for shown in self.agent.status()["pods"]}
        return {name: (self.agent.token(name), uids[name]) for name in self.names}

    def away(self):
        aside = self.agent.base / "aside"
        self.agent.manifests.rename(aside)
        return aside

    def comes_back_unharmed(self):
        wait_until(lambda: not self.agent.status()["problems"] and not self.agent.status()["removalHeld"]
                   and not any(shown["leaving"] for shown in self.agent.status()["pods"]), "all to be well again")
        self.assertEqual(self.before, self.seen())

    def all_are_held(self):
        """Files go one by one, and the agent may look in between: then it says how many had gone by then."""
        def are_held() -> bool:
            status = self.agent.status()
            return bool(status["removalHeld"]) and all("removal is held" in pod["message"] for pod in status["pods"])
        wait_until(are_held, "the removal of all to be held")

    def test_deleted_and_returned(self):
        aside = self.away()
        wait_until(lambda: self.agent.status()["problems"], "the problem")
        self.assertEqual(self.before, self.seen())
        aside.rename(self.agent.manifests)
        self.comes_back_unharmed()

    def test_emptied_holds_the_removal_until_it_is_filled_again(self):
        texts = {path: path.read_text() for path in self.agent.manifests.iterdir()}
        for path in texts:
            path.unlink()
        self.all_are_held()
        self.assertEqual(self.before, self.seen())
        for path, text in texts.items():
            self.agent.drop(path.name, text)
        self.comes_back_unharmed()

    def test_emptied_lets_go_when_a_person_says_so(self):
        for path in self.agent.manifests.iterdir():
            path.unlink()
        self.all_are_held()
        self.assertEqual(200, self.agent.ask("/v1/prune", "POST")[0])
        wait_until(lambda: not self.agent.status()["pods"], "the Pods to leave")
        wait_until(lambda: os.listdir(self.agent.base / "pods") == [".tokenlet.lock"], "their files to go")
        self.assertEqual([], os.listdir(self.agent.base / "by-name"))

    def test_replaced_by_an_empty_one_holds_the_removal(self):
        aside = self.away()
        self.agent.manifests.mkdir(mode=0o755)
        held = wait_until(lambda: self.agent.status()["removalHeld"], "the removal to be held")
        self.assertIn("another one", held)
        self.assertEqual(self.before, self.seen())
        self.agent.manifests.rmdir()
        aside.rename(self.agent.manifests)
        self.comes_back_unharmed()

    def test_unmounted_holds_the_removal_until_it_is_mounted_again(self):
        disk = self.away()
        self.agent.manifests.mkdir(mode=0o755)
        mount = subprocess.run(["mount", "--bind", disk, self.agent.manifests], capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            self.skipTest(f"NOT TESTED: nothing can be mounted here: {mount.stderr.strip()}")
        unmount = ["umount", "--lazy", str(self.agent.manifests)]
        self.addCleanup(subprocess.run, unmount, capture_output=True, check=False)
        self.comes_back_unharmed()
        subprocess.run(unmount, check=True)
        self.assertEqual([], os.listdir(self.agent.manifests))
        held = wait_until(lambda: self.agent.status()["removalHeld"], "the removal to be held")
        self.assertIn("another one", held)
        self.assertEqual(self.before, self.seen())
        subprocess.run(["mount", "--bind", disk, self.agent.manifests], check=True)
        self.comes_back_unharmed()

    @unittest.skipUnless(os.geteuid() == 0, "only root can start an agent as another user")
    def test_that_may_no_longer_be_read_changes_nothing(self):
        user = 61001
        with daemon.Daemon() as agent:
            agent.drop("web.yaml", pod("web"))
            for path in (agent.base, agent.manifests, agent.manifests / "web.yaml"):
                os.chown(path, user, user)
            agent.binary = shutil.copy(daemon.BINARY, agent.base / "tokenlet")
            agent.run_as = user
            agent.start_and_settle()
            token = agent.token("web")
            agent.manifests.chmod(0o000)
            problem = wait_until(lambda: agent.status()["problems"], "the problem")[0]
            self.assertIn("Permission denied", problem)
            self.assertEqual(token, agent.token("web"))
            agent.manifests.chmod(0o755)
            wait_until(lambda: not agent.status()["problems"], "the problem to be over")
            self.assertEqual(token, agent.token("web"))
            self.assertFalse(agent.pod_status("web")["leaving"])

    def test_writable_for_all_is_refused_and_changes_nothing(self):
        self.agent.manifests.chmod(0o777)
        wait_until(lambda: self.agent.status()["problems"], "the problem")
        self.assertEqual(self.before, self.seen())
        self.agent.manifests.chmod(0o755)
        self.comes_back_unharmed()

    def test_files_rewritten_by_the_tools_people_use(self):
        path = self.agent.manifests / "pod-0.yaml"
        files = self.agent.manifests

        def git(*arguments):
            subprocess.run(["git", "-C", str(files), "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
                           check=True, capture_output=True)

        def labelled(label):
            source = "        - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}\n"
            text = pod("pod-0", extra=source).replace("metadata:", f"metadata:\n  labels: {{tool: {label}}}")
            (self.agent.base / "new.yaml").write_text(text)
            return self.agent.base / "new.yaml"

        vim = shutil.which("vim") or shutil.which("vim.tiny") or "vim"
        tools = {
            "cp": lambda: shutil.copyfile(labelled("cp"), path),
            "sed": lambda: subprocess.run(["sed", "-i", "s/tool: cp/tool: sed/", str(path)], check=True),
            "rsync": lambda: subprocess.run(["rsync", "--checksum", str(labelled("rsync")), str(path)], check=True),
            "create": lambda: (path.unlink(), path.write_text(labelled("create").read_text())),
            "vim": lambda: subprocess.run([vim, "-es", "-u", "NONE", "-c", "%s/tool: create/tool: vim/", "-c", "wq", str(path)],
                                          check=True, stdin=subprocess.DEVNULL, capture_output=True),
            "git": lambda: (path.write_text(labelled("git").read_text()), git("init", "-q"), git("add", "."),
                            git("commit", "-q", "-m", "x"), path.unlink(), git("checkout", "-q", "--", ".")),
        }
        for name, tool in tools.items():
            with self.subTest(name):
                if name in ("vim", "git", "rsync") and shutil.which(vim if name == "vim" else name) is None:
                    self.skipTest(f"NOT TESTED: {name} is not installed")
                tool()
                wait_until(lambda: f'tool="{name}"' in self.labels_of("pod-0"), "the edit to arrive")
                self.comes_back_unharmed()

    def labels_of(self, name: str) -> str:
        labels = self.agent.volume(name) / "labels"
        return labels.read_text() if labels.exists() else ""

    def test_that_gets_1000_manifests_at_once_projects_them_all(self):
        for i in range(1000):
            self.agent.drop(f"many-{i}.yaml", pod(f"many-{i}"))
        wait_until(lambda: sum(shown["ready"] for shown in self.agent.status()["pods"]) == 1005, "1 005 Pods")
        self.assertEqual(self.before, self.seen())
        self.assertEqual([], self.agent.status()["problems"])
        self.assertTrue(self.agent.running())
