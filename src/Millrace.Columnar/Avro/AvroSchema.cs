using System.Text.Json;

namespace Millrace.Columnar.Avro;

/// <summary>The kinds of Avro schemas (Avro 1.12 specification, Schema Declaration).</summary>
public enum AvroKind : byte
{
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Record,
    Enum,
    Array,
    Map,
    Union,
    Fixed,
}

/// <summary>
/// A parsed Avro schema. Named types are resolved: a reference is the same object as the definition, so a recursive schema is a
/// cyclic graph. Attributes that the specification does not name (Iceberg's <c>field-id</c>, <c>element-id</c>) are kept.
/// </summary>
/// <remarks>Immutable after <see cref="Parse(string)"/>; thread-safe.</remarks>
public sealed class AvroSchema
{
    private static readonly IReadOnlyDictionary<string, JsonElement> NoAttributes = new Dictionary<string, JsonElement>();

    private Dictionary<string, AvroField>? _fieldsByName;

    internal AvroSchema(AvroKind kind) => Kind = kind;

    public AvroKind Kind { get; }

    /// <summary>Namespace and name of a record, enum or fixed; else empty.</summary>
    public string FullName { get; internal set; } = "";

    /// <summary>Other full names under which a reader's record, enum or fixed takes a writer's.</summary>
    public IReadOnlyList<string> Aliases { get; internal set; } = [];

    /// <summary>A record's fields.</summary>
    public IReadOnlyList<AvroField> Fields { get; internal set; } = [];

    /// <summary>A record's field of that name, or null.</summary>
    public AvroField? Field(string name)
    {
        // Made on first use; two threads that make it make the same.
        _fieldsByName ??= Fields.ToDictionary(f => f.Name, StringComparer.Ordinal);
        return _fieldsByName.GetValueOrDefault(name);
    }

    /// <summary>An enum's symbols.</summary>
    public IReadOnlyList<string> Symbols { get; internal set; } = [];

    /// <summary>The symbol that a reader takes for one that it does not have, or null.</summary>
    public string? DefaultSymbol { get; internal set; }

    /// <summary>A union's branches.</summary>
    public IReadOnlyList<AvroSchema> Branches { get; internal set; } = [];

    /// <summary>An array's items or a map's values.</summary>
    public AvroSchema? Element { get; internal set; }

    /// <summary>A fixed's bytes.</summary>
    public int Size { get; internal set; }

    /// <summary>E.g. <c>decimal</c>, <c>timestamp-micros</c>, <c>map</c>; null when there is none.</summary>
    public string? LogicalType { get; internal set; }

    public int Precision { get; internal set; }

    public int Scale { get; internal set; }

    public IReadOnlyDictionary<string, JsonElement> Attributes { get; internal set; } = NoAttributes;

    /// <summary>An attribute that is a 32-bit integer, or null.</summary>
    public int? IntAttribute(string name) =>
        Attributes.TryGetValue(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
            ? number
            : null;

    /// <summary>The branch that is not null of a union of null and one other; null for everything else.</summary>
    public AvroSchema? Optional =>
        Kind == AvroKind.Union && Branches.Count == 2
            ? Branches[0].Kind == AvroKind.Null ? Branches[1] : Branches[1].Kind == AvroKind.Null ? Branches[0] : null
            : null;

    /// <exception cref="AvroException">The text is no Avro schema.</exception>
    public static AvroSchema Parse(string json) => AvroSchemaParser.Parse(System.Text.Encoding.UTF8.GetBytes(json));

    /// <exception cref="AvroException">The text is no Avro schema.</exception>
    public static AvroSchema Parse(ReadOnlyMemory<byte> utf8) => AvroSchemaParser.Parse(utf8);

    /// <param name="json">The schema.</param>
    /// <param name="referenced">Schemas whose named types it may use, each after those that it uses itself.</param>
    /// <exception cref="AvroException">The text is no Avro schema.</exception>
    public static AvroSchema Parse(string json, IReadOnlyList<string> referenced) => AvroSchemaParser.Parse(json, referenced, strict: false);

    /// <summary>
    /// Parses and checks all that the specification asks of a schema that others will read: names, defaults that fit their type, unions
    /// without twins.
    /// </summary>
    /// <param name="json">The schema.</param>
    /// <param name="referenced">Schemas whose named types it may use, each after those that it uses itself.</param>
    /// <exception cref="AvroException">The text is no valid Avro schema.</exception>
    public static AvroSchema ParseStrict(string json, IReadOnlyList<string>? referenced = null) => AvroSchemaParser.Parse(json, referenced ?? [], strict: true);

    public override string ToString() => FullName.Length > 0 ? FullName : LogicalType ?? Kind.ToString().ToLowerInvariant();
}

/// <summary>A field of a record.</summary>
public sealed record AvroField(string Name, AvroSchema Type, JsonElement? Default, IReadOnlyDictionary<string, JsonElement> Attributes)
{
    /// <summary>Other names under which a reader's field takes a writer's.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>An attribute that is a 32-bit integer, or null.</summary>
    public int? IntAttribute(string name) =>
        Attributes.TryGetValue(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
            ? number
            : null;
}

/// <summary>Bytes or JSON that break the Avro specification.</summary>
public sealed class AvroException : IOException
{
    public AvroException(string message)
        : base(message)
    {
    }

    public AvroException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
