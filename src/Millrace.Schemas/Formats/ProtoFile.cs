namespace Millrace.Schemas.Formats;

/// <summary>A field of a message.</summary>
/// <param name="Type">A scalar's name, or the full name of a message or enum.</param>
/// <param name="MapKey">The scalar that a map's keys have; null when it is no map.</param>
internal sealed record ProtoField(string Name, int Number, ProtoLabel Label, string Type, string? MapKey, string? Oneof);

internal enum ProtoLabel
{
    None,
    Optional,
    Required,
    Repeated,
}

/// <summary>A message type; its full name has the package and the messages that it stands in.</summary>
internal sealed record ProtoMessage(string FullName)
{
    /// <summary>Fields by number, which is what identifies them.</summary>
    public Dictionary<int, ProtoField> Fields { get; } = [];

    public HashSet<string> FieldNames { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Oneofs { get; } = new(StringComparer.Ordinal);

    /// <summary>Numbers from and to that no field may have.</summary>
    public List<(int From, int To)> ReservedNumbers { get; } = [];

    public HashSet<string> ReservedNames { get; } = new(StringComparer.Ordinal);

    public bool Reserves(ProtoField field) => ReservedNames.Contains(field.Name) || ReservedNumbers.Exists(r => field.Number >= r.From && field.Number <= r.To);
}

/// <summary>What a .proto file defines.</summary>
internal sealed class ProtoFile
{
    public string Package { get; set; } = "";

    public bool Proto3 { get; set; }

    public List<string> Imports { get; } = [];

    public Dictionary<string, ProtoMessage> Messages { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Enums { get; } = new(StringComparer.Ordinal);

    /// <summary>The file as Protobuf's own description of files; names of types in it stand as they were written until they are resolved.</summary>
    public Google.Protobuf.Reflection.FileDescriptorProto Descriptor { get; } = new();

    /// <summary>Whether it extends messages, which the descriptor does not say.</summary>
    public bool HasExtensions { get; set; }

    public bool Defines(string fullName) => Messages.ContainsKey(fullName) || Enums.Contains(fullName);

    /// <exception cref="SchemaFormatException">The text is no .proto file; the message has the line.</exception>
    public static ProtoFile Parse(string text) => new ProtoParser(text).ReadFile();
}

/// <summary>Words and signs of a .proto file.</summary>
internal ref struct ProtoTokens(string text)
{
    private readonly string _text = text;
    private int _position;

    /// <summary>The current token; empty at the end. Text literals keep their opening quote.</summary>
    public string Current { get; private set; } = "";

    public int Line { get; private set; } = 1;

    public void Next()
    {
        SkipBlank();
        if (_position >= _text.Length)
        {
            Current = "";
            return;
        }
        var start = _position;
        var c = _text[_position++];
        if (c is '"' or '\'')
        {
            while (_position < _text.Length && _text[_position] != c)
            {
                if (_text[_position] == '\n')
                    throw Fault("a text literal is not ended");
                _position += _text[_position] == '\\' ? 2 : 1;
            }
            if (_position >= _text.Length)
                throw Fault("a text literal is not ended");
            Current = "\"" + _text[(start + 1).._position];
            _position++;
            return;
        }
        if (IsWord(c))
        {
            while (_position < _text.Length && (IsWord(_text[_position]) || _text[_position] == '.'))
                _position++;
        }
        else if (c == '.' && _position < _text.Length && IsWord(_text[_position]))
        {
            while (_position < _text.Length && (IsWord(_text[_position]) || _text[_position] == '.'))
                _position++;
        }
        Current = _text[start.._position];
    }

    public readonly SchemaFormatException Fault(string what) => new($"the .proto file is wrong at line {Line}: {what}");

    private void SkipBlank()
    {
        while (_position < _text.Length)
        {
            var c = _text[_position];
            if (c == '\n')
                Line++;
            if (char.IsWhiteSpace(c) || c == '\uFEFF')
            {
                _position++;
            }
            else if (c == '/' && _position + 1 < _text.Length && _text[_position + 1] == '/')
            {
                var end = _text.IndexOf('\n', _position);
                _position = end < 0 ? _text.Length : end;
            }
            else if (c == '/' && _position + 1 < _text.Length && _text[_position + 1] == '*')
            {
                var end = _text.IndexOf("*/", _position + 2, StringComparison.Ordinal);
                if (end < 0)
                    throw Fault("a comment is not ended");
                for (; _position < end + 2; _position++)
                    Line += _text[_position] == '\n' ? 1 : 0;
            }
            else
            {
                return;
            }
        }
    }

    private static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '+';
}
