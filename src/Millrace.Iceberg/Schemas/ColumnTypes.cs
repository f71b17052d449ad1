using Millrace.Columnar;

namespace Millrace.Iceberg.Schemas;

/// <summary>Iceberg's types and the in-memory column types, both ways.</summary>
internal static class ColumnTypes
{
    public static IcebergSchema ToIceberg(Schema columns, IReadOnlyList<string> identifier)
    {
        foreach (var name in identifier)
        {
            if (columns.IndexOf(name) < 0)
                throw new IcebergException($"the key column '{name}' is not among the columns ({string.Join(", ", columns.Fields.Select(f => f.Name))})");
        }
        // Top-level columns get 1..n, nested ones follow, as Iceberg's own writers number them.
        var next = columns.Count + 1;
        var fields = new List<NestedField>(columns.Count);
        for (var i = 0; i < columns.Count; i++)
        {
            var column = columns[i];
            var isKey = identifier.Contains(column.Name);
            var type = ToIceberg(column.Type, column.Name, ref next);
            if (isKey && type is not PrimitiveType { Kind: not (PrimitiveKind.Float or PrimitiveKind.Double) })
                throw new IcebergException($"the column '{column.Name}' is {type}; floats and nested columns cannot identify a row");
            fields.Add(new NestedField(i + 1, column.Name, isKey || !column.Nullable, type));
        }
        return new IcebergSchema(0, fields, identifier.Select(name => columns.IndexOf(name) + 1).ToArray());
    }

    public static Schema ToColumns(IcebergSchema schema) =>
        new(schema.Fields.Select(f => new Field(f.Name, ToColumn(f.Type), !f.Required)).ToArray());

    private static IcebergType ToIceberg(DataType type, string name, ref int next)
    {
        switch (type.Kind)
        {
            case TypeKind.Boolean:
                return PrimitiveType.Boolean;
            case TypeKind.Int8 or TypeKind.Int16 or TypeKind.Int32 or TypeKind.UInt8 or TypeKind.UInt16:
                return PrimitiveType.Int;
            case TypeKind.UInt32 or TypeKind.Int64:
                return PrimitiveType.Long;
            case TypeKind.UInt64:
                return PrimitiveType.DecimalOf(20, 0);
            case TypeKind.Float32:
                return PrimitiveType.Float;
            case TypeKind.Float64:
                return PrimitiveType.Double;
            case TypeKind.Decimal128:
                return PrimitiveType.DecimalOf(type.Precision, type.Scale);
            case TypeKind.Date32:
                return PrimitiveType.Date;
            case TypeKind.Time64:
                return PrimitiveType.Time;
            case TypeKind.Timestamp:
                return PrimitiveType.Timestamp;
            case TypeKind.TimestampTz:
                return PrimitiveType.TimestampTz;
            case TypeKind.Utf8:
                return PrimitiveType.String;
            case TypeKind.Binary:
                return PrimitiveType.Binary;
            case TypeKind.List:
                var elementId = next++;
                return new ListType(elementId, ToIceberg(type.Children![0].Type, name + ".element", ref next), !type.Children[0].Nullable);
            case TypeKind.Struct:
                var first = next;
                next += type.Children!.Count;
                var fields = new List<NestedField>();
                foreach (var child in type.Children)
                    fields.Add(new NestedField(first + fields.Count, child.Name, !child.Nullable, ToIceberg(child.Type, $"{name}.{child.Name}", ref next)));
                return new StructType(fields);
            case TypeKind.Map:
                var pair = type.Children![0].Type.Children!;
                var keyId = next++;
                var valueId = next++;
                var key = ToIceberg(pair[0].Type, name + ".key", ref next);
                return new MapType(keyId, key, valueId, ToIceberg(pair[1].Type, name + ".value", ref next), !pair[1].Nullable);
            default:
                throw new IcebergException($"the column '{name}' is {type.Kind}, which Iceberg tables cannot hold; cast it in the query");
        }
    }

    private static DataType ToColumn(IcebergType type) => type switch
    {
        PrimitiveType p => p.Kind switch
        {
            PrimitiveKind.Boolean => DataType.Boolean,
            PrimitiveKind.Int => DataType.Int32,
            PrimitiveKind.Long => DataType.Int64,
            PrimitiveKind.Float => new DataType(TypeKind.Float32),
            PrimitiveKind.Double => DataType.Float64,
            PrimitiveKind.Decimal => new DataType(TypeKind.Decimal128, p.Precision, p.Scale),
            PrimitiveKind.Date => DataType.Date32,
            PrimitiveKind.Time => new DataType(TypeKind.Time64),
            PrimitiveKind.Timestamp or PrimitiveKind.TimestampNs => DataType.Timestamp,
            PrimitiveKind.TimestampTz or PrimitiveKind.TimestampTzNs => DataType.TimestampTz,
            PrimitiveKind.String or PrimitiveKind.Uuid => DataType.Utf8,
            PrimitiveKind.Unknown => DataType.Int32,
            _ => DataType.Binary,
        },
        ListType l => new DataType(TypeKind.List, Children: [new Field("element", ToColumn(l.Element), !l.ElementRequired)]),
        StructType s => new DataType(TypeKind.Struct, Children: s.Fields.Select(f => new Field(f.Name, ToColumn(f.Type), !f.Required)).ToArray()),
        MapType m => new DataType(TypeKind.Map, Children:
        [
            new Field("entries", new DataType(TypeKind.Struct, Children:
                [new Field("key", ToColumn(m.Key), false), new Field("value", ToColumn(m.Value), !m.ValueRequired)]), false),
        ]),
        _ => throw new InvalidOperationException($"no column type for {type}"),
    };
}
