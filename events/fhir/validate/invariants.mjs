// Every invariant of R4, evaluated by fhirpath.
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';
import { resourcesIn, walk } from './definitions.mjs';

// Invariants that are not evaluated, each with its reason. Those of severity warning (dom-6, con-3 and other advice) are
// not errors by HL7's own word.
const tolerated = {
  'txt-1': 'htmlChecks() is not in fhirpath; links.mjs parses the XHTML',
  'txt-2': 'htmlChecks() is not in fhirpath; links.mjs parses the XHTML',
};

const options = { traceFn: () => {} }; // ref-1 and dom-3 trace
const compiled = new Map();

/** Part of a resource needs its base, or fhirpath does not know of what type it is. */
function evaluator(base, expression, isResource) {
  const key = `${base} ${expression}`;
  if (!compiled.has(key)) {
    compiled.set(key, fhirpath.compile(isResource ? expression : { base, expression }, r4, options));
  }
  return compiled.get(key);
}

export function invariants(resource) {
  const out = [];
  for (const { node, path } of resourcesIn(resource)) {
    const environment = { resource: node, rootResource: node };
    walk(node, path, (element, value, where, base) => {
      for (const { key, severity, expression } of element.constraint ?? []) {
        if (severity !== 'error' || !expression || key in tolerated || (key === 'ele-1' && isPrimitive(value))) {
          continue;
        }
        const [result] = evaluator(base, expression, value === node)(value, environment);
        if (result === false) {
          out.push(`${key} at ${where}`);
        }
      }
    });
  }
  return [...new Set(out)];
}

/** ele-1 wants a value or children. A primitive in JSON is its value, and the schema refuses empty ones. */
function isPrimitive(value) {
  return value !== null && typeof value !== 'object';
}
