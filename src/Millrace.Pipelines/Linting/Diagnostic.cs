using Millrace.Pipelines.Files;

namespace Millrace.Pipelines.Linting;

public enum Severity
{
    /// <summary>The file cannot run.</summary>
    Error,

    /// <summary>It runs, but perhaps not as meant.</summary>
    Warning,
}

/// <summary>One fault of a pipeline file, with its place and the way on.</summary>
/// <param name="File">As the caller named it.</param>
/// <param name="Line">From 1.</param>
/// <param name="Column">From 1, in UTF-16 characters.</param>
/// <param name="Length">Characters to mark, at least 1, all on the line.</param>
/// <param name="Code">A stable slug, e.g. <c>unknown-column</c>.</param>
/// <param name="Hint">What would be right; null when nothing better is known than the message.</param>
/// <param name="Next">A command to run next, without <c>millrace</c>'s path: <c>millrace topic tail orders</c>.</param>
public sealed record Diagnostic(
    string File, int Line, int Column, int Length, Severity Severity, string Code, string Message, string? Hint = null, string? Next = null)
{
    public override string ToString() => $"{File}:{Line}:{Column}: {(Severity == Severity.Error ? "error" : "warning")}: {Message}";
}

/// <summary>Collects diagnostics of one file; the same fault at the same place is told once.</summary>
internal sealed class DiagnosticBag(SourceText source)
{
    private readonly List<Diagnostic> _found = [];

    public SourceText Source { get; } = source;

    public bool HasErrors => _found.Exists(d => d.Severity == Severity.Error);

    /// <summary>In the file's order.</summary>
    public IReadOnlyList<Diagnostic> InOrder() =>
        _found.OrderBy(d => d.Line).ThenBy(d => d.Column).ThenBy(d => d.Severity).ToArray();

    public void Error(Place at, string code, string message, string? hint = null, string? next = null) =>
        Add(at, Severity.Error, code, message, hint, next);

    public void Warning(Place at, string code, string message, string? hint = null, string? next = null) =>
        Add(at, Severity.Warning, code, message, hint, next);

    private void Add(Place at, Severity severity, string code, string message, string? hint, string? next)
    {
        var diagnostic = new Diagnostic(Source.FileName, at.Line, at.Column, at.Length, severity, code, message, hint, next);
        if (!_found.Contains(diagnostic))
            _found.Add(diagnostic);
    }
}
