using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Millrace.Pipelines.Files;

/// <summary>A scalar of the file: its value, and where each character of the value stands. Compares by value.</summary>
public sealed class Text : IEquatable<Text>
{
    private readonly SourceText _source;
    private readonly int _start;
    private readonly int _end;
    private readonly ScalarStyle _style;
    private int[]? _positions;

    private Text(string value, SourceText source, int start, int end, ScalarStyle style)
    {
        Value = value;
        _source = source;
        _start = start;
        _end = end;
        _style = style;
    }

    public string Value { get; }

    /// <summary>The place of the whole scalar: its first line.</summary>
    public Place Place => Value.Length == 0 || _style is ScalarStyle.Literal or ScalarStyle.Folded
        ? At(0, Math.Max(1, Value.Length))
        : _source.PlaceOf(_start, _end);

    /// <summary>The place of a part of the value.</summary>
    public Place At(int offset, int length)
    {
        var positions = _positions ??= Align();
        var start = positions[Math.Clamp(offset, 0, Value.Length)];
        var end = positions[Math.Clamp(offset + length, 0, Value.Length)];
        return _source.PlaceOf(start, Math.Max(end, start + 1));
    }

    public bool Equals(Text? other) => other is not null && other.Value == Value;

    public override bool Equals(object? obj) => Equals(obj as Text);

    public override int GetHashCode() => Value.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Value;

    internal static Text Of(YamlScalarNode node, SourceText source) => new(
        node.Value ?? "", source, (int)node.Start.Index, (int)node.End.Index, node.Style);

    /// <summary>For each character of the value (and its end) the index in the file.</summary>
    private int[] Align() => _style switch
    {
        ScalarStyle.Literal => AlignLiteral(),
        ScalarStyle.DoubleQuoted => AlignDoubleQuoted(),
        _ => AlignFlowing(),
    };

    // A literal block (YAML 1.2, 8.1.2) keeps its lines; only the indentation of the first non-empty line is taken away.
    private int[] AlignLiteral()
    {
        var content = _source.Content;
        var positions = new int[Value.Length + 1];
        var at = NextLine(_start);
        var first = at;
        while (first < content.Length && content[first] is ' ' or '\n' or '\r')
        {
            if (content[first] == '\n')
                at = first + 1;
            first++;
        }
        // Leading empty lines belong to the value, so the walk starts at the block's first line again.
        var indentation = first - at;
        at = NextLine(_start);
        var index = 0;
        while (index < Value.Length)
        {
            var skipped = 0;
            while (skipped < indentation && at < content.Length && content[at] == ' ')
            {
                at++;
                skipped++;
            }
            while (index < Value.Length && Value[index] != '\n')
                positions[index++] = Math.Min(at++, content.Length);
            if (index < Value.Length)
                positions[index++] = Math.Min(at, content.Length);
            at = NextLine(at);
        }
        positions[Value.Length] = Value.Length == 0 ? _start : Math.Min(positions[Value.Length - 1] + 1, content.Length);
        return positions;
    }

    private int NextLine(int at)
    {
        var end = at < _source.Content.Length ? _source.Content.IndexOf('\n', at) : -1;
        return end < 0 ? _source.Content.Length : end + 1;
    }

    // Plain, single-quoted and folded text: line ends and indentation became one space or line end; '' became '.
    private int[] AlignFlowing()
    {
        var content = _source.Content;
        var positions = new int[Value.Length + 1];
        var at = _style switch
        {
            ScalarStyle.SingleQuoted => _start + 1,
            ScalarStyle.Folded => NextLine(_start),
            _ => _start,
        };
        for (var index = 0; index < Value.Length; index++)
        {
            var wanted = Value[index];
            if (wanted is ' ' or '\n')
            {
                positions[index] = Math.Min(at, content.Length);
                var next = index + 1 < Value.Length ? Value[index + 1] : '\0';
                if (at < content.Length && content[at] == ' ' && next == ' ')
                    at++;
                else
                    at = SkipWhite(at);
                continue;
            }
            if (_style == ScalarStyle.Folded || index == 0)
                at = SkipWhite(at);
            positions[index] = Math.Min(at, content.Length);
            at += wanted == '\'' && _style == ScalarStyle.SingleQuoted ? 2 : 1;
        }
        positions[Value.Length] = Math.Min(at, content.Length);
        return positions;
    }

    private int SkipWhite(int at)
    {
        while (at < _source.Content.Length && char.IsWhiteSpace(_source.Content[at]))
            at++;
        return at;
    }

    private int[] AlignDoubleQuoted()
    {
        var content = _source.Content;
        var positions = new int[Value.Length + 1];
        var at = _start + 1;
        for (var index = 0; index < Value.Length; index++)
        {
            positions[index] = Math.Min(at, content.Length);
            if (at >= content.Length)
                continue;
            if (content[at] == '\\' && at + 1 < content.Length)
            {
                at += content[at + 1] switch { 'x' => 4, 'u' => 6, 'U' => 10, _ => 2 };
                if (char.IsHighSurrogate(Value[index]) && index + 1 < Value.Length)
                    positions[++index] = positions[index - 1];
            }
            else if (Value[index] is ' ' or '\n' && content[at] is '\n' or '\r')
            {
                at = SkipWhite(at);
            }
            else
            {
                at++;
            }
        }
        positions[Value.Length] = Math.Min(at, content.Length);
        return positions;
    }
}
