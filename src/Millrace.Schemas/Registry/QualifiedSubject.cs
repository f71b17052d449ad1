namespace Millrace.Schemas;

/// <summary>
/// A subject and the context that it stands in, written <c>:.CONTEXT:SUBJECT</c> (Confluent, Schema Contexts); without that prefix it is in the default
/// context <c>.</c>. Each context has ids of its own.
/// </summary>
/// <param name="Context">Starts with a dot; <c>*</c> in a prefix that means all.</param>
/// <param name="Subject">Empty for the context as such, whose settings hold for all its subjects.</param>
internal readonly record struct QualifiedSubject(string Context, string Subject)
{
    public const string Default = ".";
    public const string Every = "*";

    /// <summary>The context whose settings hold where no other has any.</summary>
    public const string Global = ".__GLOBAL";

    private const string Wildcard = ":*:";

    public bool IsDefault => Context == Default;

    /// <summary>The name in one form.</summary>
    public string Name => Prefix(Context) + Subject;

    public static QualifiedSubject Parse(string name)
    {
        if (name.StartsWith(Wildcard, StringComparison.Ordinal))
            return new QualifiedSubject(Every, name[Wildcard.Length..]);
        if (!name.StartsWith(":.", StringComparison.Ordinal))
            return new QualifiedSubject(Default, name);
        var end = name.IndexOf(':', 2);
        return end < 0 ? new QualifiedSubject(name[1..], "") : new QualifiedSubject(name[1..end], name[(end + 1)..]);
    }

    public static string Normalize(string name) => Parse(name).Name;

    public static string ContextOf(string name) => Parse(name).Context;

    /// <summary>What stands before a subject's name in a context.</summary>
    public static string Prefix(string context) => context == Default ? "" : $":{context}:";

    /// <summary>A name as another subject says it: in its own context if it names none.</summary>
    public static string Beside(string subject, string name)
    {
        var named = Parse(name);
        return named.IsDefault ? (named with { Context = ContextOf(subject) }).Name : named.Name;
    }

    /// <summary>A name as a request under <c>/contexts/CONTEXT</c> says it.</summary>
    public static string In(string context, string name) =>
        name.StartsWith(":.", StringComparison.Ordinal) || name.StartsWith(Wildcard, StringComparison.Ordinal) ? name : Prefix(context) + name;

    /// <summary>A context as a path names it: with or without its dot and colons.</summary>
    /// <exception cref="RegistryException">It is no context's name.</exception>
    public static string ReadContext(string written)
    {
        var name = written.StartsWith(':') ? written[1..] : written;
        if (name.EndsWith(':'))
            name = name[..^1];
        if (name.Contains(':', StringComparison.Ordinal))
            throw new RegistryException(400, $"Context name '{name}' cannot contain a colon");
        return name.StartsWith('.') ? name : "." + name;
    }

    /// <summary>Which names a <c>subjectPrefix</c> means.</summary>
    public static Func<string, bool> Matching(string prefix)
    {
        var wanted = Parse(prefix);
        var openContext = prefix.StartsWith(":.", StringComparison.Ordinal) && prefix.IndexOf(':', 2) < 0;
        return name =>
        {
            var own = Parse(name);
            return (wanted.Context == Every || own.Context == wanted.Context || (openContext && own.Context.StartsWith(wanted.Context, StringComparison.Ordinal)))
                && own.Subject.StartsWith(wanted.Subject, StringComparison.Ordinal);
        };
    }
}
