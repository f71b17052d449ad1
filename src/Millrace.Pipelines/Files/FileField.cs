namespace Millrace.Pipelines.Files;

/// <summary>How a property of the file model is called in the file, and what it means: the source of binding, JSON Schema and reference.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class FileFieldAttribute(string name, string description) : Attribute
{
    public string Name { get; } = name;

    public string Description { get; } = description;

    public bool Required { get; init; }

    public string? Example { get; init; }

    /// <summary>What holds when the field is absent, as the file would write it.</summary>
    public string? Default { get; init; }

    /// <summary>The only values, where there are few.</summary>
    public string[]? Values { get; init; }

    /// <summary>A regular expression (ECMA 262) that editors check; <c>lint</c> checks by itself.</summary>
    public string? Pattern { get; init; }

    /// <summary>The record may be written as one text, which is this field.</summary>
    public bool ShortForm { get; init; }

    /// <summary>What the keys of a map are, e.g. <c>column</c>.</summary>
    public string Key { get; init; } = "name";
}

/// <summary>A map of the file in its order: names with their places, and what stands under them.</summary>
public sealed record FileMap<T>(IReadOnlyList<FileEntry<T>> Entries)
{
    public static readonly FileMap<T> Empty = new([]);
}

public sealed record FileEntry<T>(Text Name, T Value);

/// <summary>A list of the file; a single item may stand without brackets.</summary>
public sealed record FileList<T>(IReadOnlyList<T> Items)
{
    public static readonly FileList<T> Empty = new([]);
}
