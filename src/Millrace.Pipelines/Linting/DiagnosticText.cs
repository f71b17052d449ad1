using System.Text;
using Millrace.Pipelines.Files;

namespace Millrace.Pipelines.Linting;

/// <summary>Diagnostics as a person reads them: place and message, the line, a caret run under the fault, hint, next command.</summary>
public static class DiagnosticText
{
    private const int LongestLine = 160;

    /// <summary>Renders all diagnostics of one file, an empty line between two, and a line that counts them; empty when there are none.</summary>
    public static string Render(IEnumerable<Diagnostic> diagnostics, string yaml)
    {
        var source = new SourceText("", yaml);
        var all = diagnostics.ToArray();
        if (all.Length == 0)
            return "";
        var errors = all.Count(d => d.Severity == Severity.Error);
        var counts = new[] { Count(errors, "error"), Count(all.Length - errors, "warning") }.OfType<string>();
        var next = errors > 0 ? $"; mend and run: ./millrace lint {all[0].File}" : "";
        return $"{string.Join('\n', all.Select(d => Render(d, source)))}\n{string.Join(", ", counts)}{next}\n";
    }

    private static string? Count(int count, string what) => count switch { 0 => null, 1 => $"1 {what}", _ => $"{count} {what}s" };

    private static string Render(Diagnostic diagnostic, SourceText source)
    {
        var text = new StringBuilder();
        text.Append(diagnostic).Append('\n');
        var line = source.Line(diagnostic.Line);
        if (line.Length > 0)
            AppendMarkedLine(text, line, diagnostic);
        AppendNote(text, "hint", diagnostic.Hint);
        AppendNote(text, "next", diagnostic.Next);
        return text.ToString();
    }

    private static void AppendMarkedLine(StringBuilder text, string line, Diagnostic diagnostic)
    {
        var number = diagnostic.Line.ToString();
        var from = 0;
        var column = Math.Min(diagnostic.Column - 1, line.Length);
        if (line.Length > LongestLine)
        {
            from = Math.Max(0, Math.Min(column - (LongestLine / 2), line.Length - LongestLine));
            line = line.Substring(from, LongestLine);
        }
        text.Append("  ").Append(number).Append(" | ").Append(line).Append('\n');
        text.Append(' ', number.Length + 2).Append(" | ");
        // Tabs stay tabs under the line, so that the caret stands right whatever a terminal makes of them.
        for (var i = 0; i < column - from && i < line.Length; i++)
            text.Append(line[i] == '\t' ? '\t' : ' ');
        var run = Math.Max(1, Math.Min(diagnostic.Length, line.Length - (column - from)));
        text.Append('^', run).Append('\n');
    }

    private static void AppendNote(StringBuilder text, string label, string? note)
    {
        if (note is null)
            return;
        text.Append("  ").Append(label).Append(": ").Append(note.Replace("\n", "\n        ", StringComparison.Ordinal)).Append('\n');
    }
}
