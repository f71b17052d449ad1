using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Language;

/// <summary>An address of the file, <c>scheme:path?key=value&amp;key=value</c>, with the place of every part.</summary>
internal sealed record Endpoint(string Scheme, Span SchemeSpan, string Path, Span PathSpan, IReadOnlyList<EndpointOption> Options)
{
    /// <summary>Splits an address. Never fails on options: what they mean is checked by who knows the scheme.</summary>
    public static Endpoint? Parse(string text, List<TextFault> faults)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon <= 0)
        {
            faults.Add(new TextFault(
                0, Math.Max(1, text.Length), "bad-address", $"'{text}' is not an address", "write scheme:name, e.g. kafka:orders or iceberg:sales.orders"));
            return null;
        }
        var query = text.IndexOf('?', colon);
        var pathEnd = query < 0 ? text.Length : query;
        var path = new Span(colon + 1, pathEnd - colon - 1);
        var endpoint = new Endpoint(
            text[..colon], new Span(0, colon), text[(colon + 1)..pathEnd], path, query < 0 ? [] : ParseOptions(text, query + 1, faults));
        if (path.Length == 0)
            faults.Add(new TextFault(0, text.Length, "bad-address", $"'{text}' names nothing after '{endpoint.Scheme}:'"));
        return endpoint;
    }

    private static List<EndpointOption> ParseOptions(string text, int start, List<TextFault> faults)
    {
        var options = new List<EndpointOption>();
        while (start <= text.Length)
        {
            var end = text.IndexOf('&', start);
            if (end < 0)
                end = text.Length;
            var equals = text.IndexOf('=', start, end - start);
            if (equals < 0)
            {
                faults.Add(new TextFault(
                    start, Math.Max(1, end - start), "bad-address", $"'{text[start..end]}' is not an option", "options are key=value, with & between them"));
            }
            else
            {
                var option = new EndpointOption(
                    text[start..equals], new Span(start, equals - start), text[(equals + 1)..end], new Span(equals + 1, end - equals - 1));
                if (options.Exists(o => o.Key == option.Key))
                    faults.Add(new TextFault(start, end - start, "duplicate-name", $"option '{option.Key}' stands twice"));
                options.Add(option);
            }
            start = end + 1;
        }
        return options;
    }
}

internal sealed record EndpointOption(string Key, Span KeySpan, string Value, Span ValueSpan);
