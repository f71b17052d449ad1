using System.Globalization;

namespace Millrace.Schemas.Formats;

/// <summary>
/// Reads .proto files of syntax proto2, proto3 and editions (Protocol Buffers Language Specification) as far as compatibility asks:
/// messages, fields, oneofs, maps, groups and enums. Options, services and extensions are passed over.
/// </summary>
internal ref struct ProtoParser(string text)
{
    private const int MostDepth = 64;
    private const int MostNumber = (1 << 29) - 1;

    private readonly ProtoFile _file = new();
    private ProtoTokens _tokens = new(text);

    public ProtoFile ReadFile()
    {
        _tokens.Next();
        while (_tokens.Current.Length > 0)
        {
            switch (_tokens.Current)
            {
                case "syntax" or "edition":
                    _tokens.Next();
                    Take("=");
                    _file.Proto3 = TakeText() == "proto3";
                    Take(";");
                    break;
                case "import":
                    _tokens.Next();
                    if (_tokens.Current is "public" or "weak")
                        _tokens.Next();
                    _file.Imports.Add(TakeText());
                    Take(";");
                    break;
                case "package":
                    _tokens.Next();
                    _file.Package = TakeName();
                    Take(";");
                    break;
                case "message":
                    _tokens.Next();
                    ReadMessage(_file.Package, TakeName(), 0);
                    break;
                case "enum":
                    _tokens.Next();
                    ReadEnum(_file.Package);
                    break;
                case "service" or "extend":
                    SkipBlock();
                    break;
                case "option":
                    SkipStatement();
                    break;
                case ";":
                    _tokens.Next();
                    break;
                default:
                    throw _tokens.Fault($"'{_tokens.Current}' is not expected here");
            }
        }
        return _file;
    }

    private void ReadMessage(string scope, string name, int depth)
    {
        if (depth > MostDepth)
            throw _tokens.Fault($"messages nest deeper than {MostDepth}");
        var message = new ProtoMessage(Join(scope, name));
        if (_file.Defines(message.FullName) || !_file.Messages.TryAdd(message.FullName, message))
            throw _tokens.Fault($"{message.FullName} is defined twice");
        Take("{");
        while (_tokens.Current != "}")
        {
            switch (_tokens.Current)
            {
                case "":
                    throw _tokens.Fault($"message {name} is not ended");
                case "message":
                    _tokens.Next();
                    ReadMessage(message.FullName, TakeName(), depth + 1);
                    break;
                case "enum":
                    _tokens.Next();
                    ReadEnum(message.FullName);
                    break;
                case "oneof":
                    ReadOneof(message, depth);
                    break;
                case "extend":
                    SkipBlock();
                    break;
                case "option" or "extensions":
                    SkipStatement();
                    break;
                case "reserved":
                    ReadReserved(message);
                    break;
                case ";":
                    _tokens.Next();
                    break;
                default:
                    ReadField(message, null, depth);
                    break;
            }
        }
        foreach (var field in message.Fields.Values)
        {
            if (message.Reserves(field))
                throw _tokens.Fault($"field {field.Name} = {field.Number} of {message.FullName} uses what the message reserves");
        }
        _tokens.Next();
    }

    // reserved 2, 5 to 9, 100 to max; or reserved "name", other;
    private void ReadReserved(ProtoMessage message)
    {
        _tokens.Next();
        do
        {
            if (_tokens.Current == ",")
                _tokens.Next();
            if (_tokens.Current.StartsWith('"'))
            {
                message.ReservedNames.Add(TakeText());
            }
            else if (_tokens.Current.Length > 0 && (char.IsAsciiLetter(_tokens.Current[0]) || _tokens.Current[0] == '_'))
            {
                message.ReservedNames.Add(TakeName());
            }
            else
            {
                var from = TakeNumber();
                var to = from;
                if (_tokens.Current == "to")
                {
                    _tokens.Next();
                    if (_tokens.Current == "max")
                    {
                        to = MostNumber;
                        _tokens.Next();
                    }
                    else
                    {
                        to = TakeNumber();
                    }
                }
                message.ReservedNumbers.Add((from, to));
            }
        }
        while (_tokens.Current == ",");
        Take(";");
    }

    private void ReadOneof(ProtoMessage message, int depth)
    {
        _tokens.Next();
        var name = TakeName();
        message.Oneofs.Add(name);
        Take("{");
        while (_tokens.Current != "}")
        {
            if (_tokens.Current.Length == 0)
                throw _tokens.Fault($"oneof {name} is not ended");
            if (_tokens.Current == "option")
                SkipStatement();
            else if (_tokens.Current == ";")
                _tokens.Next();
            else
                ReadField(message, name, depth);
        }
        _tokens.Next();
    }

    private void ReadField(ProtoMessage message, string? oneof, int depth)
    {
        var label = _tokens.Current switch
        {
            "optional" => ProtoLabel.Optional,
            "required" => ProtoLabel.Required,
            "repeated" => ProtoLabel.Repeated,
            _ => ProtoLabel.None,
        };
        if (label != ProtoLabel.None)
            _tokens.Next();
        var type = TakeName();
        string? key = null;
        if (type == "map" && _tokens.Current == "<")
        {
            _tokens.Next();
            key = TakeName();
            Take(",");
            type = TakeName();
            Take(">");
        }
        var name = TakeName();
        Take("=");
        var number = TakeNumber();
        if (number is < 1 or > MostNumber or (>= 19_000 and <= 19_999))
            throw _tokens.Fault($"field {name} has the number {number}, which no field may have");
        if (!message.FieldNames.Add(name))
            throw _tokens.Fault($"{message.FullName} has two fields {name}");
        if (message.Fields.ContainsKey(number))
            throw _tokens.Fault($"{message.FullName} has two fields with the number {number}");
        if (_tokens.Current == "[")
            SkipBrackets();
        message.Fields.Add(number, new ProtoField(name, number, label, type == "group" ? Join(message.FullName, name) : type, key, oneof));
        if (type == "group")
            ReadMessage(message.FullName, name, depth + 1);
        else
            Take(";");
    }

    private void ReadEnum(string scope)
    {
        var name = TakeName();
        if (_file.Defines(Join(scope, name)) || !_file.Enums.Add(Join(scope, name)))
            throw _tokens.Fault($"{Join(scope, name)} is defined twice");
        Take("{");
        var values = 0;
        while (_tokens.Current != "}")
        {
            switch (_tokens.Current)
            {
                case "":
                    throw _tokens.Fault($"enum {name} is not ended");
                case "option" or "reserved":
                    SkipStatement();
                    break;
                case ";":
                    _tokens.Next();
                    break;
                default:
                    TakeName();
                    Take("=");
                    var number = TakeNumber();
                    if (values++ == 0 && number != 0 && _file.Proto3)
                        throw _tokens.Fault($"the first value of enum {name} must be 0 in proto3");
                    if (_tokens.Current == "[")
                        SkipBrackets();
                    Take(";");
                    break;
            }
        }
        _tokens.Next();
    }

    private void SkipStatement()
    {
        var open = 0;
        while (open > 0 || _tokens.Current != ";")
        {
            if (_tokens.Current.Length == 0)
                throw _tokens.Fault("a statement is not ended");
            open += _tokens.Current is "{" or "[" ? 1 : _tokens.Current is "}" or "]" ? -1 : 0;
            if (open < 0)
                throw _tokens.Fault($"'{_tokens.Current}' is not expected here");
            _tokens.Next();
        }
        _tokens.Next();
    }

    private void SkipBrackets()
    {
        var open = 0;
        do
        {
            if (_tokens.Current.Length == 0)
                throw _tokens.Fault("options are not ended");
            open += _tokens.Current is "[" or "{" ? 1 : _tokens.Current is "]" or "}" ? -1 : 0;
            _tokens.Next();
        }
        while (open > 0);
    }

    private void SkipBlock()
    {
        while (_tokens.Current is not ("{" or ""))
            _tokens.Next();
        SkipBrackets();
    }

    private void Take(string sign)
    {
        if (_tokens.Current != sign)
            throw _tokens.Fault($"'{sign}' is expected, found {(_tokens.Current.Length == 0 ? "the end" : $"'{_tokens.Current}'")}");
        _tokens.Next();
    }

    private string TakeName()
    {
        var name = _tokens.Current;
        if (name.Length == 0 || !(char.IsAsciiLetter(name[0]) || name[0] is '_' or '.'))
            throw _tokens.Fault($"a name is expected, found {(name.Length == 0 ? "the end" : $"'{name}'")}");
        _tokens.Next();
        return name;
    }

    private string TakeText()
    {
        var text = _tokens.Current;
        if (text.Length == 0 || text[0] != '"')
            throw _tokens.Fault("text in quotes is expected");
        _tokens.Next();
        return text[1..];
    }

    private int TakeNumber()
    {
        var word = _tokens.Current;
        var negative = word == "-";
        if (negative)
            _tokens.Next();
        word = _tokens.Current;
        if (word.StartsWith('-'))
            (negative, word) = (true, word[1..]);
        var good = word.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? long.TryParse(word.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var number)
            : long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out number);
        if (!good || number > (negative ? 1L << 31 : int.MaxValue) || number < 0)
            throw _tokens.Fault($"a number is expected, found '{_tokens.Current}'");
        _tokens.Next();
        return (int)(negative ? -number : number);
    }

    private static string Join(string scope, string name) => scope.Length == 0 ? name : scope + "." + name;
}
