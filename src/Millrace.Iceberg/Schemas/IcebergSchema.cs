using Millrace.Columnar;

namespace Millrace.Iceberg.Schemas;

/// <summary>
/// A table's columns by field id. Ids identify columns through renames, moves and drops; data files carry them (Iceberg spec,
/// Schemas and Data Types).
/// </summary>
public sealed class IcebergSchema : IEquatable<IcebergSchema>
{
    // Deeper schemas come from hostile files only; every walk over a schema recurses.
    internal const int MostDepth = 64;

    private readonly Dictionary<int, NestedField> _byId = [];
    private readonly Dictionary<int, string> _names = [];
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);

    /// <exception cref="IcebergException">An id or a name stands twice.</exception>
    public IcebergSchema(int schemaId, IReadOnlyList<NestedField> fields, IReadOnlyList<int>? identifierFieldIds = null)
    {
        SchemaId = schemaId;
        Struct = new StructType(fields);
        IdentifierFieldIds = identifierFieldIds ?? [];
        foreach (var field in fields)
            Index(field, "", 0);
        foreach (var id in IdentifierFieldIds)
        {
            if (!_byId.ContainsKey(id))
                throw new IcebergException($"the identifier field {id} is no field of schema {schemaId}");
        }
    }

    public int SchemaId { get; }

    public StructType Struct { get; }

    public IReadOnlyList<NestedField> Fields => Struct.Fields;

    /// <summary>Ids of the columns that together identify a row; empty when none were declared.</summary>
    public IReadOnlyList<int> IdentifierFieldIds { get; }

    /// <summary>The greatest field id, 0 when there are no fields.</summary>
    public int HighestFieldId { get; private set; }

    /// <summary>The field with that id at any depth, or null.</summary>
    public NestedField? Find(int id) => _byId.GetValueOrDefault(id);

    /// <summary>The field of that full name (<c>a.b</c> for nested ones), or null.</summary>
    public NestedField? Find(string name) => _byName.TryGetValue(name, out var id) ? _byId[id] : null;

    /// <summary>The full name of a field, or null.</summary>
    public string? NameOf(int id) => _names.GetValueOrDefault(id);

    /// <summary>All ids, in no order.</summary>
    public IReadOnlyCollection<int> FieldIds => _byId.Keys;

    public IcebergSchema WithId(int schemaId) => schemaId == SchemaId ? this : new IcebergSchema(schemaId, Fields, IdentifierFieldIds);

    /// <summary>Same columns and identifier fields, whatever the schema's id.</summary>
    public bool SameColumns(IcebergSchema other) =>
        Struct.Equals(other.Struct) && IdentifierFieldIds.Order().SequenceEqual(other.IdentifierFieldIds.Order());

    public bool Equals(IcebergSchema? other) => other is not null && SchemaId == other.SchemaId && SameColumns(other);

    public override bool Equals(object? obj) => Equals(obj as IcebergSchema);

    public override int GetHashCode() => HashCode.Combine(SchemaId, Struct);

    /// <summary>
    /// A table schema for columns, with fresh ids from 1, breadth first. Unsigned 64-bit numbers become decimal(20,0); DuckDB's HUGEINT
    /// sums arrive as decimal(38,0).
    /// </summary>
    /// <param name="identifier">Names of the columns that identify a row; they become required.</param>
    /// <exception cref="IcebergException">A type has no counterpart, or an identifier column is missing or of a type that cannot identify.</exception>
    public static IcebergSchema From(Schema columns, IReadOnlyList<string>? identifier = null) => ColumnTypes.ToIceberg(columns, identifier ?? []);

    /// <summary>The columns as Millrace holds them in memory.</summary>
    public Schema ToColumns() => ColumnTypes.ToColumns(this);

    public override string ToString() =>
        string.Join(", ", Fields.Select(f => $"{f.Id}: {f.Name} {f.Type}{(f.Required ? " not null" : "")}"));

    private void Index(NestedField field, string prefix, int depth)
    {
        if (depth > MostDepth)
            throw new IcebergException($"schema {SchemaId} nests deeper than {MostDepth}");
        var name = prefix + field.Name;
        if (!_byId.TryAdd(field.Id, field))
            throw new IcebergException($"field id {field.Id} stands twice in schema {SchemaId} ({_names[field.Id]} and {name})");
        if (!_byName.TryAdd(name, field.Id))
            throw new IcebergException($"the name {name} stands twice in schema {SchemaId}");
        _names[field.Id] = name;
        HighestFieldId = Math.Max(HighestFieldId, field.Id);
        switch (field.Type)
        {
            case StructType inner:
                foreach (var child in inner.Fields)
                    Index(child, name + ".", depth + 1);
                break;
            case ListType list:
                Index(new NestedField(list.ElementId, "element", list.ElementRequired, list.Element), name + ".", depth + 1);
                break;
            case MapType map:
                Index(new NestedField(map.KeyId, "key", true, map.Key), name + ".", depth + 1);
                Index(new NestedField(map.ValueId, "value", map.ValueRequired, map.Value), name + ".", depth + 1);
                break;
        }
    }
}
