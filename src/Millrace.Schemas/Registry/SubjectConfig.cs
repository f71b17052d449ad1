using System.Text.Json;

namespace Millrace.Schemas;

/// <summary>The settings of a subject, a context, or all; what is null is not said there.</summary>
public sealed record SubjectConfig
{
    public CompatibilityLevel? Level { get; init; }

    /// <summary>Another subject's name that is meant by this one.</summary>
    public string? Alias { get; init; }

    /// <summary>Whether schemas are brought into their normal form before they are compared and kept.</summary>
    public bool? Normalize { get; init; }

    /// <summary>Versions are compared with those alone that have the same value of this metadata property.</summary>
    public string? CompatibilityGroup { get; init; }

    /// <summary>Of JSON Schema: whether properties may be added to open content models and the like.</summary>
    public bool? Lenient { get; init; }

    /// <summary>Whether schemas are held to the fields that their metadata reserve: <c>confluent:reserved</c>, names with commas.</summary>
    public bool? ValidateFields { get; init; }

    internal string? DefaultMetadata { get; init; }

    internal string? OverrideMetadata { get; init; }

    internal string? DefaultRuleSet { get; init; }

    internal string? OverrideRuleSet { get; init; }

    /// <summary>These settings with what a request or a record says; a null there takes a setting away.</summary>
    /// <param name="json">The body.</param>
    /// <param name="levelName">The member that has the level.</param>
    /// <exception cref="RegistryException">A value is none.</exception>
    internal SubjectConfig With(JsonElement json, string levelName)
    {
        var config = this;
        foreach (var member in json.EnumerateObject())
        {
            var value = member.Value;
            config = member.Name switch
            {
                "alias" => config with { Alias = Text(value) },
                "normalize" => config with { Normalize = Flag(value) },
                "compatibilityGroup" => config with { CompatibilityGroup = Text(value) },
                "compatibilityPolicy" => config with { Lenient = Policy(Text(value)) },
                "defaultMetadata" => config with { DefaultMetadata = DataContract.ReadMetadata(value) },
                "overrideMetadata" => config with { OverrideMetadata = DataContract.ReadMetadata(value) },
                "defaultRuleSet" => config with { DefaultRuleSet = DataContract.ReadRuleSet(value) },
                "overrideRuleSet" => config with { OverrideRuleSet = DataContract.ReadRuleSet(value) },
                "validateFields" => config with { ValidateFields = Flag(value) },
                // What would be promised and not done is refused by name.
                "validateNewSchemas" or "validateRules" or "aliasForDeks" when value.ValueKind is not (JsonValueKind.Null or JsonValueKind.False) =>
                    throw new RegistryException(422, $"'{member.Name}' is not held here"),
                _ when member.Name == levelName => config with
                {
                    Level = Text(value) is { } level ? SchemaNames.Level(level) ?? throw RegistryException.InvalidLevel() : null,
                },
                _ => config,
            };
        }
        return config;
    }

    /// <summary>Whether nothing is said.</summary>
    internal bool IsEmpty => this == new SubjectConfig();

    /// <summary>What holds where these settings stand over others.</summary>
    internal SubjectConfig Over(SubjectConfig below) => this with
    {
        Level = Level ?? below.Level,
        Normalize = Normalize ?? below.Normalize,
        CompatibilityGroup = CompatibilityGroup ?? below.CompatibilityGroup,
        Lenient = Lenient ?? below.Lenient,
        ValidateFields = ValidateFields ?? below.ValidateFields,
    };

    internal void Write(Utf8JsonWriter json, string levelName)
    {
        if (Alias is not null)
            json.WriteString("alias", Alias);
        if (Normalize is { } normalize)
            json.WriteBoolean("normalize", normalize);
        if (Level is { } level)
            json.WriteString(levelName, SchemaNames.Of(level));
        if (Lenient is { } lenient)
            json.WriteString("compatibilityPolicy", lenient ? "LENIENT" : "STRICT");
        if (ValidateFields is { } validates)
            json.WriteBoolean("validateFields", validates);
        if (CompatibilityGroup is not null)
            json.WriteString("compatibilityGroup", CompatibilityGroup);
        Raw("defaultMetadata", DefaultMetadata);
        Raw("overrideMetadata", OverrideMetadata);
        Raw("defaultRuleSet", DefaultRuleSet);
        Raw("overrideRuleSet", OverrideRuleSet);

        void Raw(string name, string? text)
        {
            if (text is null)
                return;
            json.WritePropertyName(name);
            json.WriteRawValue(text);
        }
    }

    private static string? Text(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null : value.GetString() is { Length: > 0 } text ? text : null;

    private static bool? Flag(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null : value.GetBoolean();

    private static bool? Policy(string? name) => name?.ToUpperInvariant() switch
    {
        null => null,
        "STRICT" => false,
        "LENIENT" => true,
        _ => throw new RegistryException(42203, $"the compatibility policy {name} is not held here; STRICT and LENIENT are"),
    };
}
