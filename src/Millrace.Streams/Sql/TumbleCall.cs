using System.Globalization;

namespace Millrace.Streams.Sql;

/// <summary>
/// <c>tumble(orders, 1m)</c> in a statement. DuckDB has no such table function and <c>1m</c> is no SQL, so the call is cut out before DuckDB
/// parses: the input's name stands in its place, padded with spaces, and all positions stay what they were.
/// </summary>
/// <param name="Input">The table that is cut into windows.</param>
/// <param name="InputSpan">Where its name stands.</param>
/// <param name="Call">The whole call.</param>
internal sealed record TumbleCall(string Input, Span InputSpan, Span Call, TimeSpan Size, Span SizeSpan)
{
    private static readonly string[] OtherWindows = ["hop", "hopping", "session", "sessionize", "cumulate", "slide", "sliding", "tumbling"];

    /// <summary>The calls in a statement (a second one is a fault of the caller's to tell).</summary>
    public static IReadOnlyList<TumbleCall> Find(string sql, List<TextFault> faults)
    {
        var calls = new List<TumbleCall>();
        var tokens = Tokens.Of(sql, faults);
        for (var i = 0; i + 1 < tokens.Count; i++)
        {
            if (tokens[i].Kind != TokenKind.Word || !tokens[i + 1].IsSymbol("("))
                continue;
            var source = i > 0 && (tokens[i - 1].Is("from") || tokens[i - 1].Is("join") || (tokens[i - 1].IsSymbol(",") && FollowsFrom(tokens, i)));
            if (tokens[i].Is("tumble"))
            {
                if (!source)
                    faults.Add(new TextFault(tokens[i].Offset, tokens[i].Length, "bad-window", "tumble(...) stands behind FROM", "FROM tumble(orders, 1m)"));
                else if (ParseCall(sql, tokens, i, faults) is { } call)
                    calls.Add(call);
            }
            else if (source && OtherWindows.Contains(tokens[i].Value.ToLowerInvariant()))
            {
                faults.Add(new TextFault(
                    tokens[i].Offset, tokens[i].Length, "unsupported-sql", $"{tokens[i].Value.ToLowerInvariant()} windows are not supported",
                    "tumbling windows are: FROM tumble(orders, 1m)"));
            }
        }
        return calls;
    }

    /// <summary>The statement with each call exchanged for its input's name, as long as it was.</summary>
    public static string Cut(string sql, IReadOnlyList<TumbleCall> calls)
    {
        var text = sql.ToCharArray();
        foreach (var call in calls)
        {
            var written = sql.AsSpan(call.InputSpan.Offset, call.InputSpan.Length);
            for (var i = call.Call.Offset; i < call.Call.End; i++)
                text[i] = text[i] is '\n' or '\r' ? text[i] : ' ';
            written.CopyTo(text.AsSpan(call.Call.Offset));
        }
        return new string(text);
    }

    private static bool FollowsFrom(IReadOnlyList<Token> tokens, int at)
    {
        for (var i = at - 1; i >= 0; i--)
        {
            if (tokens[i].Is("from"))
                return true;
            if (tokens[i].Kind == TokenKind.Word && (tokens[i].Is("select") || tokens[i].Is("where") || tokens[i].Is("group") || tokens[i].Is("by")))
                return false;
        }
        return false;
    }

    private static TumbleCall? ParseCall(string sql, IReadOnlyList<Token> tokens, int at, List<TextFault> faults)
    {
        const string form = "write tumble(orders, 1m): a source or query, and the windows' size";
        var close = at + 2;
        while (tokens[close].Kind != TokenKind.End && !tokens[close].IsSymbol(")"))
            close++;
        var name = tokens[at + 2];
        if (tokens[close].Kind == TokenKind.End)
        {
            faults.Add(new TextFault(tokens[at].Offset, sql.Length - tokens[at].Offset, "bad-window", "tumble( is never closed", form));
            return null;
        }
        var call = new Span(tokens[at].Offset, tokens[close].End - tokens[at].Offset);
        if (name.Kind is not (TokenKind.Word or TokenKind.QuotedWord) || !tokens[at + 3].IsSymbol(",") || close < at + 5)
        {
            faults.Add(new TextFault(call.Offset, call.Length, "bad-window", "tumble(...) needs an input and a size", form));
            return null;
        }
        var first = tokens[at + 4];
        var last = tokens[close - 1];
        var size = new Span(first.Offset, last.End - first.Offset);
        var text = SizeText(tokens, at + 4, close);
        if (text is null)
        {
            faults.Add(new TextFault(size.Offset, size.Length, "bad-window", "tumble(...) has an input and a size, nothing more", form));
            return null;
        }
        if (!DurationText.TryParse(text, out var duration, out var problem))
        {
            faults.Add(new TextFault(size.Offset, size.Length, "bad-duration", problem, DurationText.Hint));
            return null;
        }
        return new TumbleCall(name.Value, new Span(name.Offset, name.Length), call, duration, size);
    }

    // 1m, '1m', INTERVAL '1 minute', INTERVAL 1 MINUTE.
    private static string? SizeText(IReadOnlyList<Token> tokens, int from, int to)
    {
        var interval = tokens[from].Is("interval");
        if (interval)
            from++;
        if (to - from == 1)
            return Compact(tokens[from].Value);
        return interval && to - from == 2 ? Compact($"{tokens[from].Value} {tokens[from + 1].Value}") : null;
    }

    private static string Compact(string text)
    {
        var parts = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length != 2 || !long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out _))
            return text.Trim();
        var unit = parts[1].ToLowerInvariant().TrimEnd('s') switch
        {
            "millisecond" => "ms",
            "second" or "sec" => "s",
            "minute" or "min" => "m",
            "hour" => "h",
            "day" => "d",
            var other => " " + other,
        };
        return parts[0] + unit;
    }
}
