using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.RegularExpressions;

namespace Millrace.Log.Security;

/// <summary>
/// A user's name from the subject of a certificate, as Kafka's <c>ssl.principal.mapping.rules</c> makes it (KIP-371): the first rule whose pattern
/// matches the whole subject (RFC 2253: <c>CN=alice,OU=web,O=Shop</c>) decides. Immutable; thread-safe.
/// </summary>
public sealed class PrincipalNames
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

    // RFC 2253 section 2.3 and what Java writes.
    private static readonly Dictionary<string, string> Attributes = new(StringComparer.Ordinal)
    {
        ["2.5.4.3"] = "CN", ["2.5.4.7"] = "L", ["2.5.4.8"] = "ST", ["2.5.4.10"] = "O", ["2.5.4.11"] = "OU", ["2.5.4.6"] = "C", ["2.5.4.9"] = "STREET",
        ["0.9.2342.19200300.100.1.25"] = "DC", ["0.9.2342.19200300.100.1.1"] = "UID",
    };

    private readonly List<(Regex? Pattern, string Replacement, char Case)> _rules;

    private PrincipalNames(List<(Regex? Pattern, string Replacement, char Case)> rules)
    {
        _rules = rules;
    }

    /// <summary>The whole subject is the name.</summary>
    public static PrincipalNames WholeSubject { get; } = new([(null, "", ' ')]);

    /// <param name="rules"><c>DEFAULT</c>, or <c>RULE:pattern/replacement/</c> with an optional <c>L</c> or <c>U</c> behind it for lower and upper case.</param>
    /// <exception cref="FormatException">One is neither; the message shows it.</exception>
    public static PrincipalNames Parse(IEnumerable<string> rules) => new([.. rules.Select(ParseRule)]);

    /// <summary>The name; null when no rule matches.</summary>
    public string? Of(X509Certificate2 certificate) => Of(Subject(certificate.SubjectName));

    internal string? Of(string subject)
    {
        foreach (var (pattern, replacement, letters) in _rules)
        {
            if (pattern is null)
                return subject;
            var match = pattern.Match(subject);
            if (!match.Success || match.Length != subject.Length)
                continue;
            var name = match.Result(replacement);
            return letters switch { 'L' => name.ToLowerInvariant(), 'U' => name.ToUpperInvariant(), _ => name };
        }
        return null;
    }

    /// <summary>A subject in the form of RFC 2253.</summary>
    internal static string Subject(X500DistinguishedName name)
    {
        var text = new StringBuilder();
        foreach (var part in name.EnumerateRelativeDistinguishedNames())
        {
            if (text.Length > 0)
                text.Append(',');
            // Several attributes in one place are rare and have no one name; their bytes stand for them.
            if (part.HasMultipleElements)
            {
                text.Append('#').Append(Convert.ToHexStringLower(part.RawData.Span));
                continue;
            }
            var type = part.GetSingleElementType().Value ?? "";
            text.Append(Attributes.GetValueOrDefault(type, type)).Append('=').Append(Escape(part.GetSingleElementValue() ?? ""));
        }
        return text.ToString();
    }

    private static (Regex? Pattern, string Replacement, char Case) ParseRule(string rule)
    {
        if (rule == "DEFAULT")
            return (null, "", ' ');
        var parts = rule.StartsWith("RULE:", StringComparison.Ordinal) ? Split(rule["RULE:".Length..]) : [];
        if (parts.Count != 3 || parts[0].Length == 0 || parts[2] is not ("" or "L" or "U"))
            throw new FormatException($"'{rule}' is no rule for names; write DEFAULT or RULE:pattern/replacement/ with L or U behind it for lower or upper case");
        try
        {
            return (new Regex(parts[0], RegexOptions.CultureInvariant, Patience), parts[1], parts[2].Length > 0 ? parts[2][0] : ' ');
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"'{rule}' has a pattern that is none: {error.Message}", error);
        }
    }

    // A slash within a part is written with a backslash.
    private static List<string> Split(string text)
    {
        var parts = new List<string>();
        var part = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 1 < text.Length && text[i + 1] == '/')
                part.Append(text[++i]);
            else if (text[i] == '/')
                (parts, part) = ([.. parts, part.ToString()], new StringBuilder());
            else
                part.Append(text[i]);
        }
        return [.. parts, part.ToString()];
    }

    private static string Escape(string value)
    {
        var text = new StringBuilder(value.Length);
        for (var i = 0; i < value.Length; i++)
        {
            if (value[i] is ',' or '+' or '"' or '\\' or '<' or '>' or ';' || (value[i] == '#' && i == 0) || (value[i] == ' ' && (i == 0 || i == value.Length - 1)))
                text.Append('\\');
            text.Append(value[i]);
        }
        return text.ToString();
    }
}
