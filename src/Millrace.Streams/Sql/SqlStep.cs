using System.Text.Json.Nodes;

namespace Millrace.Streams.Sql;

/// <summary>A parsed SQL step, whose input is known by name but not yet by columns. Comes from <see cref="SqlAnalyzer.Parse"/>.</summary>
public sealed class SqlStep
{
    internal SqlStep(string sql, string parsedText, JsonObject select, string input, Span inputSpan, string alias, TumbleCall? window)
    {
        Sql = sql;
        ParsedText = parsedText;
        Select = select;
        Input = input;
        InputSpan = inputSpan;
        Alias = alias;
        Window = window;
    }

    /// <summary>The statement as written.</summary>
    public string Sql { get; }

    /// <summary>The source or step that it reads.</summary>
    public string Input { get; }

    /// <summary>Where the input's name stands.</summary>
    public Span InputSpan { get; }

    /// <summary>The windows' size, or null for row-by-row steps.</summary>
    public TimeSpan? WindowSize => Window?.Size;

    /// <summary>What DuckDB parsed: as <see cref="Sql"/> with the window call cut out, every position the same.</summary>
    internal string ParsedText { get; }

    /// <summary>The SELECT_NODE.</summary>
    internal JsonObject Select { get; }

    /// <summary>What the statement calls its input.</summary>
    internal string Alias { get; }

    internal TumbleCall? Window { get; }
}
