// Confluent's JavaScript registry client with its serializers, unchanged; what they write goes through the log. usage: registry-confluent.js REGISTRY BROKERS
import assert from 'node:assert/strict'
import schemaregistry from '@confluentinc/schemaregistry'
import { create, createFileRegistry, createMutableRegistry } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type as Type, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import kafkajs from 'kafkajs'
import { through } from './through-log.js'

const {
  AvroDeserializer, AvroSerializer, CelExecutor, Compatibility, HeaderSchemaIdSerializer, JsonDeserializer, JsonSerializer, ProtobufDeserializer, ProtobufSerializer, RuleMode,
  SchemaRegistryClient, SerdeType,
} = schemaregistry
const [registry, brokers] = process.argv.slice(2)
const fresh = (path = '') => SchemaRegistryClient.newClient({ baseURLs: [registry + path], maxRetries: 0 })
const client = fresh()
const log = await through(kafkajs, brokers)
const refused = async (promise, status, code) => assert.rejects(promise, (e) => e.status === status && e.errorCode === code)
const avro = (name, ...fields) => ({ schemaType: 'AVRO', schema: JSON.stringify({ type: 'record', name, namespace: 'shop', fields }) })
const long = { name: 'id', type: 'long' }
const note = { name: 'note', type: 'string', default: '-' }

// Avro: the serializer registers what it derives from the value; a later version reads what was written before.
const auto = new AvroSerializer(client, SerdeType.VALUE, { autoRegisterSchemas: true, normalizeSchemas: true })
const guess = await log('auto', await auto.serialize('auto', { a: 1, b: 'x' }))
assert.deepEqual({ ...await new AvroDeserializer(fresh(), SerdeType.VALUE, {}).deserialize('auto', guess) }, { a: 1, b: 'x' })
assert.deepEqual(await client.getAllVersions('auto-value'), [1])
const first = await client.register('orders-value', avro('Order', long))
const latest = { useLatestVersion: true, cacheLatestTtlSecs: 0 }
const old = await log('orders', await new AvroSerializer(client, SerdeType.VALUE, latest).serialize('orders', { id: 7 }))
assert.equal(await client.testCompatibility('orders-value', 1, avro('Order', { name: 'id', type: 'string' })), false)
await refused(client.register('orders-value', avro('Order', { name: 'id', type: 'string' })), 409, 409)
const second = await client.register('orders-value', avro('Order', long, note))
assert.ok(second > first)
const read = await new AvroDeserializer(fresh(), SerdeType.VALUE, latest).deserialize('orders', old)
assert.equal(read.note, '-')
assert.equal(await client.getVersion('orders-value', avro('Order', long, note)), 2)
assert.equal((await fresh().getLatestSchemaMetadata('orders-value')).version, 2)
assert.equal(await client.updateCompatibility('orders-value', Compatibility.FULL_TRANSITIVE), Compatibility.FULL_TRANSITIVE)
assert.equal(await client.getCompatibility('orders-value'), Compatibility.FULL_TRANSITIVE)
assert.equal(await client.getDefaultCompatibility(), Compatibility.BACKWARD)

// References between Avro schemas.
await client.register('customer', avro('Customer', { name: 'name', type: 'string' }))
const references = [{ name: 'shop.Customer', subject: 'customer', version: 1 }]
await client.register('sales-value', { ...avro('Sale', { name: 'customer', type: 'shop.Customer' }), references })
const sale = await log('sales', await new AvroSerializer(client, SerdeType.VALUE, latest).serialize('sales', { customer: { name: 'Ada' } }))
assert.equal((await new AvroDeserializer(fresh(), SerdeType.VALUE, {}).deserialize('sales', sale)).customer.name, 'Ada')

// Data contracts: metadata finds a version, its rules come back as they were given and are applied by the client, the GUID in a header finds the schema.
const ruleSet = { domainRules: [{ name: 'positive', kind: 'CONDITION', mode: RuleMode.WRITE, type: 'CEL', expr: 'message.id > 0' }] }
await client.register('contract-value', { ...avro('Contract', long), metadata: { properties: { major: '1' } }, ruleSet })
await client.register('contract-value', { ...avro('Contract', long, note), metadata: { properties: { major: '2' } } })
const found = await client.getLatestWithMetadata('contract-value', { major: '1' })
assert.equal(found.version, 1)
assert.equal(found.ruleSet.domainRules[0].expr, 'message.id > 0')
CelExecutor.register()
const headers = {}
const headed = new AvroSerializer(client, SerdeType.VALUE, { useLatestWithMetadata: { major: '1' }, schemaIdSerializer: HeaderSchemaIdSerializer })
await assert.rejects(headed.serialize('contract', { id: -3 }, {}), /positive/)
const message = await log('contract', await headed.serialize('contract', { id: 3 }, headers), headers)
assert.ok(message.value[0] !== 0 && Object.keys(message.headers).length === 1)
assert.equal(Number((await new AvroDeserializer(fresh(), SerdeType.VALUE, {}).deserialize('contract', message.value, message.headers)).id), 3)

// JSON Schema.
const json = (properties) => ({ schemaType: 'JSON', schema: JSON.stringify({ type: 'object', properties, additionalProperties: false }) })
await client.register('json-value', json({ n: { type: 'number' } }))
const jsonSerializer = new JsonSerializer(client, SerdeType.VALUE, { ...latest, validate: true })
const number = await log('json', await jsonSerializer.serialize('json', { n: 1.5 }))
assert.deepEqual(await new JsonDeserializer(fresh(), SerdeType.VALUE, {}).deserialize('json', number), { n: 1.5 })
await assert.rejects(jsonSerializer.serialize('json', { n: 'x' }))
await client.register('json-value', json({ n: { type: 'number' }, m: { type: 'string' } }))
await refused(client.register('json-value', json({})), 409, 409)

// Protobuf: files go and come as descriptors, what they import is registered too.
const field = (name, number, type, typeName) => ({ name, number, type, typeName, jsonName: name, label: FieldDescriptorProto_Label.OPTIONAL })
const file = (name, dependency, message) => create(FileDescriptorProtoSchema, { name, package: 'shop', syntax: 'proto3', dependency, messageType: [message] })
const cash = file('cash.proto', [], { name: 'Cash', field: [field('cents', 1, Type.INT32)] })
const receipt = file('receipt.proto', ['cash.proto'], { name: 'Receipt', field: [field('cash', 1, Type.MESSAGE, '.shop.Cash'), field('text', 2, Type.STRING)] })
const types = createFileRegistry(receipt, (name) => (name === 'cash.proto' ? cash : undefined))
const known = createMutableRegistry(types.getMessage('shop.Receipt'), types.getMessage('shop.Cash'))
const value = create(types.getMessage('shop.Receipt'), { cash: create(types.getMessage('shop.Cash'), { cents: 5 }), text: 'paid' })
const proto = new ProtobufSerializer(client, SerdeType.VALUE, { autoRegisterSchemas: true, registry: known })
const bytes = await log('receipts', await proto.serialize('receipts', value))
const receipts = await new ProtobufDeserializer(fresh(), SerdeType.VALUE, {}).deserialize('receipts', bytes)
assert.deepEqual([receipts.cash.cents, receipts.text], [5, 'paid'])
assert.match((await client.getLatestSchemaMetadata('receipts-value')).schema, /^syntax = "proto3";\npackage shop;\nimport "cash.proto";/)
const again = new ProtobufSerializer(fresh(), SerdeType.VALUE, { autoRegisterSchemas: false, registry: known })
assert.deepEqual(await again.serialize('receipts', value), bytes)
assert.deepEqual(await new ProtobufSerializer(fresh(), SerdeType.VALUE, { ...latest, registry: known }).serialize('receipts', value), bytes)

// A context has ids of its own.
const lab = fresh('/contexts/.lab')
assert.equal(await lab.register('orders-value', avro('Order', long)), 1)
assert.deepEqual(await lab.getAllSubjects(), [':.lab:orders-value'])

// Deleted softly, a schema is still what its id stands for; for ever, it is not.
await fresh().deleteSubject('orders-value')
assert.ok(!(await client.getAllSubjects()).includes('orders-value'))
assert.equal(Number((await new AvroDeserializer(fresh(), SerdeType.VALUE, {}).deserialize('orders', old)).id), 7)
await fresh().deleteSubject('orders-value', true)
await refused(fresh().getBySubjectAndId('orders-value', first), 404, 40403)
await refused(fresh().getAllVersions('orders-value'), 404, 40401)
await log.end()
console.log('OK')
