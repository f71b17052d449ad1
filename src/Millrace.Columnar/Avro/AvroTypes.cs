namespace Millrace.Columnar.Avro;

/// <summary>The columns that Avro's types become.</summary>
public static class AvroTypes
{
    /// <summary>
    /// A record's fields as columns: numbers, text, bytes and logical types as themselves, a union of null and one other as that one; arrays,
    /// maps, records and other unions as VARCHAR with their JSON text. All may be null, since a later version of the schema may say so.
    /// </summary>
    /// <exception cref="AvroException">The schema is no record, or has no fields.</exception>
    public static Schema ColumnsOf(AvroSchema record)
    {
        if (record.Kind != AvroKind.Record)
            throw new AvroException($"the Avro schema is {record}; columns need a record");
        if (record.Fields.Count == 0)
            throw new AvroException($"the Avro record {record} has no fields");
        return new Schema([.. record.Fields.Select(f => new Field(f.Name, TypeOf(f.Type)))]);
    }

    public static DataType TypeOf(AvroSchema schema)
    {
        schema = schema.Optional ?? schema;
        return (schema.Kind, schema.LogicalType) switch
        {
            (AvroKind.Boolean, _) => DataType.Boolean,
            (AvroKind.Int, "date") => DataType.Date32,
            (AvroKind.Int, "time-millis") or (AvroKind.Long, "time-micros") => new DataType(TypeKind.Time64),
            (AvroKind.Long, "timestamp-millis" or "timestamp-micros" or "timestamp-nanos") => DataType.TimestampTz,
            (AvroKind.Long, "local-timestamp-millis" or "local-timestamp-micros" or "local-timestamp-nanos") => DataType.Timestamp,
            (AvroKind.Bytes or AvroKind.Fixed, "decimal") when schema.Precision is > 0 and <= 38 && schema.Scale >= 0 && schema.Scale <= schema.Precision =>
                new DataType(TypeKind.Decimal128, schema.Precision, schema.Scale),
            (AvroKind.Fixed, "uuid") when schema.Size == 16 => DataType.Utf8,
            (AvroKind.Int, _) => DataType.Int32,
            (AvroKind.Long, _) => DataType.Int64,
            (AvroKind.Float, _) => new DataType(TypeKind.Float32),
            (AvroKind.Double, _) => DataType.Float64,
            (AvroKind.Bytes or AvroKind.Fixed, _) => DataType.Binary,
            _ => DataType.Utf8,
        };
    }
}
