namespace Millrace.Schemas;

/// <summary>The kinds of schemas, by Confluent's names in upper case.</summary>
public enum SchemaType
{
    Avro,
    Json,
    Protobuf,
}

/// <summary>A schema that another uses: by what name, and where it is registered.</summary>
public sealed record SchemaReference(string Name, string Subject, int Version);

/// <summary>A schema without a place: what an id stands for.</summary>
public sealed record SchemaContent(SchemaType Type, string Text, IReadOnlyList<SchemaReference> References)
{
    private Guid? _guid;

    /// <summary>Metadata of a data contract, as JSON in one form; null when there is none.</summary>
    public string? Metadata { get; init; }

    /// <summary>Rules of a data contract, likewise.</summary>
    public string? RuleSet { get; init; }

    /// <summary>The id that it has in every registry.</summary>
    public Guid Guid => _guid ??= DataContract.GuidOf(this);

    /// <summary>Equal for contents that share an id.</summary>
    internal string Key => References.Count == 0 && Metadata is null && RuleSet is null
        ? $"{(int)Type}{Text}"
        : $"{(int)Type}{Text}\0{string.Join('\0', References.Select(r => $"{r.Name}\u0001{r.Subject}\u0001{r.Version}"))}\0{Metadata}\0{RuleSet}";
}

/// <summary>A schema registered as a version of a subject.</summary>
public sealed record RegisteredSchema(string Subject, int Version, int Id, SchemaContent Content, bool Deleted);

/// <summary>Who must be able to read whom when a subject gets a new version (Confluent, Schema Evolution and Compatibility).</summary>
public enum CompatibilityLevel
{
    None,
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

/// <summary>What may be changed.</summary>
public enum RegistryMode
{
    ReadWrite,
    ReadOnly,
    ReadOnlyOverride,

    /// <summary>Schemas come with their ids and versions, from another registry.</summary>
    Import,
}

/// <summary>The names on the wire.</summary>
internal static class SchemaNames
{
    public static string Of(SchemaType type) => type.ToString().ToUpperInvariant();

    public static SchemaType? Type(string name) => name switch
    {
        "AVRO" => SchemaType.Avro,
        "JSON" => SchemaType.Json,
        "PROTOBUF" => SchemaType.Protobuf,
        _ => null,
    };

    public static string Of(CompatibilityLevel level) => level switch
    {
        CompatibilityLevel.BackwardTransitive => "BACKWARD_TRANSITIVE",
        CompatibilityLevel.ForwardTransitive => "FORWARD_TRANSITIVE",
        CompatibilityLevel.FullTransitive => "FULL_TRANSITIVE",
        _ => level.ToString().ToUpperInvariant(),
    };

    public static CompatibilityLevel? Level(string name) =>
        Enum.GetValues<CompatibilityLevel>().Cast<CompatibilityLevel?>().FirstOrDefault(l => Of(l!.Value).Equals(name, StringComparison.OrdinalIgnoreCase));

    public static string Of(RegistryMode mode) => mode == RegistryMode.ReadOnlyOverride ? "READONLY_OVERRIDE" : mode.ToString().ToUpperInvariant();

    public static RegistryMode? Mode(string name) =>
        Enum.GetValues<RegistryMode>().Cast<RegistryMode?>().FirstOrDefault(m => Of(m!.Value).Equals(name, StringComparison.OrdinalIgnoreCase));
}
