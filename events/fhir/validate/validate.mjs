// Validates FHIR R4 resources with engines that share no code with carehub.
//
//   node validate.mjs [--expect-invalid] FILE|FOLDER...
//
// Prints a line for each file, what is wrong with it if it should be right, and a summary. Exit status 0 when every file is valid, or, with --expect-invalid, when every
// file is refused; else 1. FOLDER stands for all *.json in it. `npm ci` in this folder comes first.
//
// No engine is enough alone: medplum knows cardinalities, types and required bindings; HL7's JSON schema knows the forms
// of primitive values; fhirpath evaluates the invariants; the last one looks at what no schema says (references, codes of
// known code systems, XHTML).
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { invariants } from './invariants.mjs';
import { links } from './links.mjs';
import { medplum, schema } from './engines.mjs';

const engines = { medplum, schema, invariants, links };

/** Everything that is wrong with the resource in this JSON text, as "engine: what, where". */
export function problems(text) {
  let resource;
  try {
    resource = JSON.parse(text);
  } catch {
    return ['json: not JSON'];
  }
  if (typeof resource?.resourceType !== 'string') {
    return ['json: no resourceType'];
  }
  return Object.entries(engines).flatMap(([name, check]) => {
    try {
      return check(structuredClone(resource)).map((what) => `${name}: ${what}`);
    } catch (err) {
      return [`${name}: ${err.message}`]; // an engine that gives up has not found the file valid
    }
  });
}

function jsonFiles(path) {
  if (!statSync(path).isDirectory()) {
    return [path];
  }
  const names = readdirSync(path).filter((name) => name.endsWith('.json'));
  return names.sort().map((name) => join(path, name));
}

function main(args) {
  const expectInvalid = args[0] === '--expect-invalid';
  const files = args.slice(expectInvalid ? 1 : 0).flatMap(jsonFiles);
  let wrong = 0;
  for (const file of files) {
    const found = problems(readFileSync(file, 'utf8'));
    const valid = found.length === 0;
    const finders = [...new Set(found.map((problem) => problem.split(':')[0]))];
    console.log(valid ? `valid   ${file}` : `INVALID ${file} (${finders.join(', ')})`);
    if (valid === expectInvalid) {
      wrong += 1;
      found.forEach((problem) => console.log(`        ${problem}`));
    }
  }
  console.log(`${files.length} files, ${wrong} not as expected (${expectInvalid ? 'all' : 'none'} should be invalid)`);
  return files.length > 0 && wrong === 0 ? 0 : 1; // no file at all is a mistake in the call
}

process.exitCode = main(process.argv.slice(2));
