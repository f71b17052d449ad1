using System.Globalization;

namespace Millrace.Schemas;

/// <summary>A request: the path is relative to where the API is mounted and still encoded, e.g. <c>/subjects/a%2Fb/versions</c>.</summary>
/// <param name="Query">Each name with its values in order.</param>
public sealed record RegistryRequest(string Method, string Path, IReadOnlyDictionary<string, IReadOnlyList<string>> Query, ReadOnlyMemory<byte> Body)
{
    /// <summary>The context that the path puts in front: <c>/contexts/CONTEXT/...</c>.</summary>
    internal string Context { get; init; } = QualifiedSubject.Default;

    internal string? Value(string name) => Query.TryGetValue(name, out var values) && values.Count > 0 ? values[0] : null;

    internal IReadOnlyList<string> Values(string name) => Query.GetValueOrDefault(name) ?? [];

    internal bool Flag(string name) => Value(name) is { } value && value.Equals("true", StringComparison.OrdinalIgnoreCase);

    internal int? Number(string name) =>
        int.TryParse(Value(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    /// <summary>Names that the parameter <c>subjectPrefix</c> means.</summary>
    internal Func<string, bool> SubjectPrefix(string otherwise) => QualifiedSubject.Matching(
        Value("subjectPrefix") is { } prefix ? QualifiedSubject.In(Context, prefix)
        : Context == QualifiedSubject.Default ? otherwise
        : QualifiedSubject.Prefix(Context));

    /// <summary>The part of a list that <c>offset</c> and <c>limit</c> ask for.</summary>
    internal IEnumerable<T> Page<T>(IEnumerable<T> all)
    {
        if (Number("offset") is > 0 and var skip)
            all = all.Skip(skip);
        return Number("limit") is >= 0 and var most ? all.Take(most) : all;
    }
}

/// <summary>An answer.</summary>
/// <param name="Text">The body, JSON unless <paramref name="ContentType"/> says otherwise.</param>
public sealed record RegistryResponse(int Status, string Text, string ContentType = RegistryResponse.Json)
{
    public const string Json = "application/vnd.schemaregistry.v1+json";
}
