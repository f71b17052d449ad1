// kafkajs' registry client, unchanged: registers, encodes, sends through the log, decodes. usage: registry-kafkajs.js REGISTRY BROKERS
import assert from 'node:assert/strict'
import registryClient from '@kafkajs/confluent-schema-registry'
import kafkajs from 'kafkajs'
import { through } from './through-log.js'

const { SchemaRegistry, SchemaType, COMPATIBILITY } = registryClient
const [host, brokers] = process.argv.slice(2)
const fresh = (options) => new SchemaRegistry({ host, retry: { retries: 0 } }, options)
const registry = fresh()
const log = await through(kafkajs, brokers)

// Avro: a second version with a default, and records of the first read by it.
const order = (...fields) => JSON.stringify({ type: 'record', name: 'Order', namespace: 'shop', fields: [{ name: 'id', type: 'long' }, ...fields] })
const first = await registry.register({ type: SchemaType.AVRO, schema: order() }, { subject: 'orders-value', compatibility: COMPATIBILITY.FULL })
const full = { subject: 'orders-value', compatibility: COMPATIBILITY.FULL }
const old = await log('orders', await registry.encode(first.id, { id: 7 }))
const second = await registry.register({ type: SchemaType.AVRO, schema: order({ name: 'note', type: 'string', default: '-' }) }, full)
assert.notEqual(first.id, second.id)
await assert.rejects(registry.register({ type: SchemaType.AVRO, schema: order({ name: 'note', type: 'int' }) }, full), /incompatible/i)
assert.equal(await registry.getLatestSchemaId('orders-value'), second.id)
assert.equal(await registry.getRegistryId('orders-value', 1), first.id)
assert.equal(await registry.getRegistryIdBySchema('orders-value', { type: SchemaType.AVRO, schema: order() }), first.id)
assert.equal((await fresh().decode(old)).id, 7)
const reader = { [SchemaType.AVRO]: { readerSchema: JSON.parse(order({ name: 'note', type: 'string', default: '-' })) } }
assert.equal((await fresh().decode(old, reader)).note, '-')

// References, from one Avro schema to another.
const customer = JSON.stringify({ type: 'record', name: 'Customer', namespace: 'shop', fields: [{ name: 'name', type: 'string' }] })
await registry.register({ type: SchemaType.AVRO, schema: customer }, { subject: 'customer' })
const sale = JSON.stringify({ type: 'record', name: 'Sale', namespace: 'shop', fields: [{ name: 'customer', type: 'shop.Customer' }] })
const references = [{ name: 'shop.Customer', subject: 'customer', version: 1 }]
const sold = await registry.register({ type: SchemaType.AVRO, schema: sale, references }, { subject: 'sales-value' })
assert.equal((await fresh().decode(await log('sales', await registry.encode(sold.id, { customer: { name: 'Ada' } })))).customer.name, 'Ada')

// JSON Schema and Protobuf.
const json = await registry.register({ type: SchemaType.JSON, schema: JSON.stringify({ type: 'object', properties: { n: { type: 'number' } }, additionalProperties: false }) }, { subject: 'json-value' })
assert.deepEqual(await fresh().decode(await log('json', await registry.encode(json.id, { n: 1.5 }))), { n: 1.5 })
await assert.rejects(registry.encode(json.id, { n: 'x' }))
const proto = await registry.register({ type: SchemaType.PROTOBUF, schema: 'syntax = "proto3"; package shop; message Cash { int32 cents = 1; string sort = 2; }' }, { subject: 'cash-value' })
assert.deepEqual({ ...await fresh().decode(await log('cash', await registry.encode(proto.id, { cents: 5, sort: 'note' }))) }, { cents: 5, sort: 'note' })

// A schema that was deleted softly is still what its id stands for; one that was deleted for ever is not.
const remove = async (path) => assert.equal((await fetch(`${host}${path}`, { method: 'DELETE' })).status, 200)
await remove('/subjects/orders-value')
assert.equal((await fresh().decode(old)).id, 7)
await remove('/subjects/orders-value?permanent=true')
await assert.rejects(fresh().decode(old), /not found/i)
await log.end()
console.log('OK')
