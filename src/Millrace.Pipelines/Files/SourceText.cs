namespace Millrace.Pipelines.Files;

/// <summary>Where something stands in a file: line and column from 1, length in characters (at least 1, never past the line's end).</summary>
public readonly record struct Place(int Line, int Column, int Length);

/// <summary>A file's text with its lines found: turns indexes into places.</summary>
public sealed class SourceText
{
    private readonly List<int> _lineStarts = [0];

    public SourceText(string fileName, string content)
    {
        FileName = fileName;
        Content = content;
        for (var i = 0; i < content.Length; i++)
        {
            if (content[i] == '\n')
                _lineStarts.Add(i + 1);
        }
    }

    public string FileName { get; }

    public string Content { get; }

    public int LineCount => _lineStarts.Count;

    /// <summary>The text of a line (from 1) without its end; empty past the last.</summary>
    public string Line(int line)
    {
        if (line < 1 || line > _lineStarts.Count)
            return "";
        var start = _lineStarts[line - 1];
        var end = line < _lineStarts.Count ? _lineStarts[line] - 1 : Content.Length;
        return Content[start..end].TrimEnd('\r');
    }

    /// <summary>The place of the characters from <paramref name="start"/> up to <paramref name="end"/>, cut at the first line's end.</summary>
    public Place PlaceOf(int start, int end)
    {
        start = Math.Clamp(start, 0, Content.Length);
        var index = _lineStarts.BinarySearch(start);
        var line = index >= 0 ? index : ~index - 1;
        var column = start - _lineStarts[line];
        var room = Line(line + 1).Length - column;
        return new Place(line + 1, column + 1, Math.Max(1, Math.Min(end - start, room)));
    }

    /// <summary>The index of a line's first character (line from 1).</summary>
    internal int StartOfLine(int line) => _lineStarts[Math.Clamp(line, 1, _lineStarts.Count) - 1];
}
