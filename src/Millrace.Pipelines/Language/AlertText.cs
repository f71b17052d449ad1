using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Language;

/// <summary>An alert's condition: a boolean SQL expression and, behind <c>for</c>, how long it must hold.</summary>
internal sealed record AlertText(string Condition, Span ConditionSpan, TimeSpan? For)
{
    public static AlertText? Parse(string text, List<TextFault> faults)
    {
        var before = faults.Count;
        var tokens = Tokens.Of(text, faults);
        if (faults.Count > before)
            return null;
        var end = text.TrimEnd().Length;
        TimeSpan? span = null;
        if (tokens.Count >= 3 && tokens[^3].Is("for"))
        {
            var token = tokens[^2];
            if (!DurationText.TryParse(token.Value, out var duration, out var problem))
            {
                faults.Add(new TextFault(token.Offset, token.Length, "bad-duration", problem, DurationText.Hint));
                return null;
            }
            span = duration;
            end = text[..tokens[^3].Offset].TrimEnd().Length;
        }
        var start = text.Length - text.TrimStart().Length;
        if (end <= start)
        {
            faults.Add(new TextFault(0, Math.Max(1, text.Length), "bad-alert", "the alert has no condition", "e.g. revenue < 100 for 5m"));
            return null;
        }
        return new AlertText(text[start..end], new Span(start, end - start), span);
    }
}
