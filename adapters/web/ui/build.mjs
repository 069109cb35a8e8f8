// Writes the pages' full look into a folder: one sheet, its typefaces, and the licences of both. Called by deploy/dev/web.
import { build } from "esbuild";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

const out = process.argv[2];
const system = "node_modules/@ongov/ontario-design-system-global-styles";
const components = "node_modules/@ongov/ontario-design-system-component-library";
const openSans = "node_modules/@fontsource/open-sans";

// A name with a hash of the bytes: browsers keep the file for good. Old font formats are left out, every browser of ours reads woff2.
await build({
  entryPoints: ["ods.css"], outdir: out, bundle: true, minify: true, entryNames: "[name].[hash]", assetNames: "[name].[hash]", logLevel: "warning",
  loader: { ".woff2": "file", ".woff": "empty", ".ttf": "empty", ".eot": "empty", ".svg": "empty" },
});

// licence copies a licence's text, and says in the list of them what it is for.
const list = [];
mkdirSync(`${out}/licences`, { recursive: true });
function licence(file, name, folder, text, spdx) {
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`));
  cpSync(text, `${out}/licences/${file}.txt`);
  list.push({ file, name, version, licence: spdx });
}
licence("ontario-design-system", "Ontario Design System global styles", system, `${system}/LICENSE`, "Apache-2.0");
licence("ontario-design-system-components", "Ontario Design System component library", components, `${components}/LICENSE`, "Apache-2.0");
licence("open-sans", "Open Sans (Ontario Design System)", system, `${system}/dist/fonts/open-sans-400/LICENSE.txt`, "Apache-2.0");
licence("raleway", "Raleway (Ontario Design System)", system, `${system}/dist/fonts/raleway-modified-700/LICENSE.txt`, "OFL-1.1");
licence("open-sans-more-letters", "Open Sans (Fontsource)", openSans, `${openSans}/LICENSE`, "OFL-1.1");
writeFileSync(`${out}/licences/list.json`, JSON.stringify(list, null, 2) + "\n");
