using System.Text.Json;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Metadata;

/// <summary>JSON properties that this version does not know; they are written back as they came.</summary>
public sealed class UnknownFields : Dictionary<string, JsonElement>
{
    public UnknownFields()
        : base(StringComparer.Ordinal)
    {
    }
}

/// <param name="SourceId">The column; for a v3 multi-argument transform the first of <paramref name="SourceIds"/>.</param>
/// <param name="FieldId">The partition field's own id, from 1000.</param>
/// <param name="SourceIds">v3: the columns of a multi-argument transform, else null.</param>
public sealed record PartitionField(int SourceId, int FieldId, string Name, Transform Transform, IReadOnlyList<int>? SourceIds = null);

/// <summary>How a table's files are divided. The partition tuple of a file has one value a field, in this order.</summary>
public sealed class PartitionSpec(int specId, IReadOnlyList<PartitionField> fields)
{
    /// <summary>The first partition field id (Iceberg spec, Partitioning).</summary>
    public const int FirstFieldId = 1000;

    public static readonly PartitionSpec Unpartitioned = new(0, []);

    public int SpecId { get; } = specId;

    public IReadOnlyList<PartitionField> Fields { get; } = fields;

    /// <summary>True when every file lies in one partition: no fields, or only void ones.</summary>
    public bool IsUnpartitioned => Fields.All(f => f.Transform.Kind == TransformKind.Void);

    /// <summary>The greatest field id, or 999.</summary>
    public int HighestFieldId => Fields.Count == 0 ? FirstFieldId - 1 : Fields.Max(f => f.FieldId);

    public PartitionSpec WithId(int specId) => specId == SpecId ? this : new PartitionSpec(specId, Fields);

    public bool SameFields(PartitionSpec other) =>
        Fields.Count == other.Fields.Count
        && Fields.Zip(other.Fields).All(p => p.First.SourceId == p.Second.SourceId && p.First.Name == p.Second.Name && p.First.Transform == p.Second.Transform);

    /// <summary>The type of each value of the tuple. A source column that was dropped leaves its type unknown: null there.</summary>
    public PrimitiveType?[] TypesIn(IcebergSchema schema)
    {
        var types = new PrimitiveType?[Fields.Count];
        for (var i = 0; i < types.Length; i++)
            types[i] = schema.Find(Fields[i].SourceId)?.Type is PrimitiveType source ? Fields[i].Transform.ResultOf(source) : null;
        return types;
    }

    /// <summary>A spec for columns of a schema, e.g. <c>("day", "ts")</c>, with field ids from 1000 and Iceberg's customary names.</summary>
    /// <exception cref="IcebergException">A column is unknown or its type does not suit the transform.</exception>
    public static PartitionSpec For(IcebergSchema schema, params IReadOnlyList<(string Transform, string Column)> parts)
    {
        var fields = new List<PartitionField>(parts.Count);
        foreach (var (text, column) in parts)
        {
            var field = schema.Find(column) ?? throw new IcebergException(
                $"cannot partition by '{column}': the columns are {string.Join(", ", schema.Fields.Select(f => f.Name))}");
            var transform = Transform.Parse(text);
            var name = transform.Kind switch
            {
                TransformKind.Identity => column,
                TransformKind.Truncate => column + "_trunc",
                TransformKind.Void => column + "_null",
                _ => column + "_" + transform.Kind.ToString().ToLowerInvariant(),
            };
            fields.Add(new PartitionField(field.Id, FirstFieldId + fields.Count, name, transform));
        }
        var spec = new PartitionSpec(0, fields);
        spec.CheckAgainst(schema);
        return spec;
    }

    /// <summary>Every field has a primitive source that its transform takes, and names are distinct.</summary>
    /// <exception cref="IcebergException">One has not.</exception>
    internal void CheckAgainst(IcebergSchema schema)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var field in Fields)
        {
            if (!names.Add(field.Name))
                throw new IcebergException($"the partition field name '{field.Name}' stands twice");
            if (field.Transform.Kind == TransformKind.Void)
                continue;
            if (schema.Find(field.SourceId) is not { } source)
                throw new IcebergException($"the partition field '{field.Name}' has no source column {field.SourceId}");
            if (source.Type is not PrimitiveType primitive || field.Transform.ResultOf(primitive) is null)
                throw new IcebergException($"the partition field '{field.Name}' cannot apply {field.Transform} to {source.Name} ({source.Type})");
            if (field.Transform.Kind == TransformKind.Unknown)
                throw new IcebergException($"the partition field '{field.Name}' has the unknown transform '{field.Transform}'");
            if (schema.Fields.Any(f => f.Name == field.Name) && !(field.Transform.Kind == TransformKind.Identity && source.Name == field.Name))
                throw new IcebergException($"the partition field '{field.Name}' has the name of another column");
        }
    }
}

public enum SortDirection
{
    Ascending,
    Descending,
}

public enum NullOrder
{
    First,
    Last,
}

public sealed record SortField(Transform Transform, int SourceId, SortDirection Direction, NullOrder Nulls, IReadOnlyList<int>? SourceIds = null);

/// <summary>An order that writers should keep inside files; order 0 is none.</summary>
public sealed class SortOrder(int orderId, IReadOnlyList<SortField> fields)
{
    public static readonly SortOrder Unsorted = new(0, []);

    public int OrderId { get; } = orderId;

    public IReadOnlyList<SortField> Fields { get; } = fields;

    public SortOrder WithId(int orderId) => orderId == OrderId ? this : new SortOrder(orderId, Fields);

    public bool SameFields(SortOrder other) => Fields.Count == other.Fields.Count
        && Fields.Zip(other.Fields).All(p => p.First.Transform == p.Second.Transform && p.First.SourceId == p.Second.SourceId
            && p.First.Direction == p.Second.Direction && p.First.Nulls == p.Second.Nulls);
}
