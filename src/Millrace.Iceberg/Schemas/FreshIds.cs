namespace Millrace.Iceberg.Schemas;

/// <summary>Numbers a schema's fields anew, the columns first and then level by level, as Iceberg's own writers do for a new table.</summary>
internal static class FreshIds
{
    /// <returns>The schema with id 0, and old ids to new ones.</returns>
    public static (IcebergSchema Schema, Dictionary<int, int> Map) Assign(IcebergSchema schema)
    {
        var map = new Dictionary<int, int>();
        var next = 1;
        var fields = ((StructType)Renumber(schema.Struct, map, ref next)).Fields;
        return (new IcebergSchema(0, fields, schema.IdentifierFieldIds.Select(id => map[id]).ToArray()), map);
    }

    private static IcebergType Renumber(IcebergType type, Dictionary<int, int> map, ref int next)
    {
        switch (type)
        {
            case StructType structure:
                foreach (var field in structure.Fields)
                    map[field.Id] = next++;
                var fields = new List<NestedField>(structure.Fields.Count);
                foreach (var field in structure.Fields)
                    fields.Add(field with { Id = map[field.Id], Type = Renumber(field.Type, map, ref next) });
                return new StructType(fields);
            case ListType list:
                var element = map[list.ElementId] = next++;
                return list with { ElementId = element, Element = Renumber(list.Element, map, ref next) };
            case MapType entry:
                var key = map[entry.KeyId] = next++;
                var value = map[entry.ValueId] = next++;
                return entry with
                {
                    KeyId = key,
                    ValueId = value,
                    Key = Renumber(entry.Key, map, ref next),
                    Value = Renumber(entry.Value, map, ref next),
                };
            default:
                return type;
        }
    }
}
