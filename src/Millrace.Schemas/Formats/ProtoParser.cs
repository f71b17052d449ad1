using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Millrace.Schemas.Formats;

/// <summary>
/// Reads .proto files of syntax proto2, proto3 and editions (Protocol Buffers Language Specification): what compatibility asks for, and the file's
/// descriptor with the names of types as they are written. Extensions are passed over.
/// </summary>
internal ref struct ProtoParser(string text)
{
    private const int MostDepth = 64;
    private const int MostNumber = (1 << 29) - 1;

    private readonly ProtoFile _file = new();
    private ProtoTokens _tokens = new(text);
    private string _word = "";

    public ProtoFile ReadFile()
    {
        _tokens.Next();
        while (_tokens.Current.Length > 0)
        {
            switch (_tokens.Current)
            {
                case "syntax" or "edition":
                    ReadSyntax();
                    break;
                case "import":
                    _tokens.Next();
                    ReadImport();
                    break;
                case "package":
                    _tokens.Next();
                    _file.Package = TakeName();
                    _file.Descriptor.Package = _file.Package;
                    Take(";");
                    break;
                case "message":
                    _tokens.Next();
                    _file.Descriptor.MessageType.Add(ReadMessage(_file.Package, TakeName(), 0));
                    break;
                case "enum":
                    _tokens.Next();
                    _file.Descriptor.EnumType.Add(ReadEnum(_file.Package));
                    break;
                case "service":
                    _file.Descriptor.Service.Add(ReadService());
                    break;
                case "extend":
                    _file.HasExtensions = true;
                    SkipBlock();
                    break;
                case "option":
                    TakeOption(_file.Descriptor.Options ??= new Google.Protobuf.Reflection.FileOptions());
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

    private void ReadSyntax()
    {
        var edition = _tokens.Current == "edition";
        _tokens.Next();
        Take("=");
        var name = TakeText();
        _file.Proto3 = name == "proto3";
        if (edition)
        {
            _file.Descriptor.Syntax = "editions";
            _file.Descriptor.Edition = name == "2023" ? Edition._2023 : Edition.Unknown;
        }
        else if (_file.Proto3)
        {
            _file.Descriptor.Syntax = name;
        }
        Take(";");
    }

    private void ReadImport()
    {
        if (_tokens.Current == "public")
            _file.Descriptor.PublicDependency.Add(_file.Imports.Count);
        else if (_tokens.Current == "weak")
            _file.Descriptor.WeakDependency.Add(_file.Imports.Count);
        if (_tokens.Current is "public" or "weak")
            _tokens.Next();
        _file.Imports.Add(TakeText());
        _file.Descriptor.Dependency.Add(_file.Imports[^1]);
        Take(";");
    }

    private DescriptorProto ReadMessage(string scope, string name, int depth)
    {
        var descriptor = new DescriptorProto { Name = name };
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
                    descriptor.NestedType.Add(ReadMessage(message.FullName, TakeName(), depth + 1));
                    break;
                case "enum":
                    _tokens.Next();
                    descriptor.EnumType.Add(ReadEnum(message.FullName));
                    break;
                case "oneof":
                    ReadOneof(message, descriptor, depth);
                    break;
                case "extend":
                    _file.HasExtensions = true;
                    SkipBlock();
                    break;
                case "extensions":
                    ReadExtensionRanges(descriptor);
                    break;
                case "option":
                    TakeOption(descriptor.Options ??= new MessageOptions());
                    break;
                case "reserved":
                    ReadReserved(message, descriptor);
                    break;
                case ";":
                    _tokens.Next();
                    break;
                default:
                    ReadField(message, descriptor, null, depth);
                    break;
            }
        }
        AddOptionalOneofs(descriptor);
        foreach (var field in message.Fields.Values)
        {
            if (message.Reserves(field))
                throw _tokens.Fault($"field {field.Name} = {field.Number} of {message.FullName} uses what the message reserves");
        }
        _tokens.Next();
        return descriptor;
    }

    // What proto3 calls optional is a oneof of one field, after all others.
    private static void AddOptionalOneofs(DescriptorProto descriptor)
    {
        foreach (var field in descriptor.Field)
        {
            if (!field.Proto3Optional)
                continue;
            field.OneofIndex = descriptor.OneofDecl.Count;
            descriptor.OneofDecl.Add(new OneofDescriptorProto { Name = "_" + field.Name });
        }
    }

    // extensions 100 to 199, 500 to max [...];
    private void ReadExtensionRanges(DescriptorProto descriptor)
    {
        _tokens.Next();
        do
        {
            if (_tokens.Current == ",")
                _tokens.Next();
            var (from, to) = TakeRange();
            descriptor.ExtensionRange.Add(new DescriptorProto.Types.ExtensionRange { Start = from, End = to == int.MaxValue ? to : to + 1 });
        }
        while (_tokens.Current == ",");
        if (_tokens.Current == "[")
            SkipBrackets();
        Take(";");
    }

    // reserved 2, 5 to 9, 100 to max; or reserved "name", other;
    private void ReadReserved(ProtoMessage message, DescriptorProto descriptor)
    {
        _tokens.Next();
        do
        {
            if (_tokens.Current == ",")
                _tokens.Next();
            if (TakeReservedName() is { } name)
            {
                message.ReservedNames.Add(name);
                descriptor.ReservedName.Add(name);
            }
            else
            {
                var (from, to) = TakeRange();
                message.ReservedNumbers.Add((from, to));
                descriptor.ReservedRange.Add(new DescriptorProto.Types.ReservedRange { Start = from, End = to == int.MaxValue ? to : to + 1 });
            }
        }
        while (_tokens.Current == ",");
        Take(";");
    }

    private string? TakeReservedName() =>
        _tokens.Current.StartsWith('"') ? TakeText()
        : _tokens.Current.Length > 0 && (char.IsAsciiLetter(_tokens.Current[0]) || _tokens.Current[0] == '_') ? TakeName()
        : null;

    private (int From, int To) TakeRange(int most = MostNumber)
    {
        var from = TakeNumber();
        if (_tokens.Current != "to")
            return (from, from);
        _tokens.Next();
        if (_tokens.Current != "max")
            return (from, TakeNumber());
        _tokens.Next();
        return (from, most);
    }

    private void ReadOneof(ProtoMessage message, DescriptorProto descriptor, int depth)
    {
        _tokens.Next();
        var name = TakeName();
        message.Oneofs.Add(name);
        var oneof = new OneofDescriptorProto { Name = name };
        descriptor.OneofDecl.Add(oneof);
        Take("{");
        while (_tokens.Current != "}")
        {
            if (_tokens.Current.Length == 0)
                throw _tokens.Fault($"oneof {name} is not ended");
            if (_tokens.Current == "option")
                TakeOption(oneof.Options ??= new OneofOptions());
            else if (_tokens.Current == ";")
                _tokens.Next();
            else
                ReadField(message, descriptor, name, depth);
        }
        _tokens.Next();
    }

    private void ReadField(ProtoMessage message, DescriptorProto parent, string? oneof, int depth)
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
        var descriptor = Describe(message, parent, name, type, key, label);
        descriptor.Number = number;
        if (oneof is not null)
            descriptor.OneofIndex = parent.OneofDecl.Count - 1;
        if (_tokens.Current == "[")
            TakeFieldOptions(descriptor);
        message.Fields.Add(number, new ProtoField(name, number, label, type == "group" ? Join(message.FullName, name) : type, key, oneof));
        if (type == "group")
            parent.NestedType.Add(ReadMessage(message.FullName, name, depth + 1));
        else
            Take(";");
    }

    private FieldDescriptorProto Describe(ProtoMessage message, DescriptorProto parent, string name, string type, string? key, ProtoLabel label)
    {
        var field = new FieldDescriptorProto
        {
            Name = type == "group" ? name.ToLowerInvariant() : name, JsonName = ProtoNames.Json(type == "group" ? name.ToLowerInvariant() : name),
            Label = label switch
            {
                ProtoLabel.Repeated => FieldDescriptorProto.Types.Label.Repeated,
                ProtoLabel.Required => FieldDescriptorProto.Types.Label.Required,
                _ => FieldDescriptorProto.Types.Label.Optional,
            },
        };
        if (_file.Proto3 && label == ProtoLabel.Optional)
            field.Proto3Optional = true;
        parent.Field.Add(field);
        if (key is not null)
        {
            var entry = new DescriptorProto { Name = ProtoNames.Entry(name), Options = new MessageOptions { MapEntry = true } };
            entry.Field.Add(Typed(new FieldDescriptorProto { Name = "key", JsonName = "key", Number = 1, Label = FieldDescriptorProto.Types.Label.Optional }, key));
            entry.Field.Add(Typed(new FieldDescriptorProto { Name = "value", JsonName = "value", Number = 2, Label = FieldDescriptorProto.Types.Label.Optional }, type));
            parent.NestedType.Add(entry);
            (field.Label, field.Type, field.TypeName) = (FieldDescriptorProto.Types.Label.Repeated, FieldDescriptorProto.Types.Type.Message, $".{message.FullName}.{entry.Name}");
            return field;
        }
        if (type == "group")
            (field.Type, field.TypeName) = (FieldDescriptorProto.Types.Type.Group, $".{message.FullName}.{name}");
        return type == "group" ? field : Typed(field, type);
    }

    private static FieldDescriptorProto Typed(FieldDescriptorProto field, string type)
    {
        if (ProtoNames.Scalar(type) is { } scalar)
            field.Type = scalar;
        else
            field.TypeName = type;
        return field;
    }

    private void TakeFieldOptions(FieldDescriptorProto field)
    {
        _tokens.Next();
        while (_tokens.Current != "]")
        {
            var option = TakeOptionValue();
            var name = option.Name.Count == 1 && !option.Name[0].IsExtension ? option.Name[0].NamePart_ : "";
            if (name == "default")
                field.DefaultValue = option.HasStringValue ? option.StringValue.ToStringUtf8() : _word;
            else if (name == "json_name")
                field.JsonName = option.StringValue.ToStringUtf8();
            else
                Set(field.Options ??= new FieldOptions(), option);
            if (_tokens.Current == ",")
                _tokens.Next();
            else if (_tokens.Current != "]")
                throw _tokens.Fault("',' or ']' is expected between options");
        }
        _tokens.Next();
    }

    // option name = value;
    private void TakeOption(IMessage options)
    {
        _tokens.Next();
        Set(options, TakeOptionValue());
        Take(";");
    }

    private void Set(IMessage options, UninterpretedOption option)
    {
        try
        {
            ProtoOptions.Set(options, option);
        }
        catch (FormatException error)
        {
            throw _tokens.Fault(error.Message);
        }
    }

    private UninterpretedOption TakeOptionValue()
    {
        var option = new UninterpretedOption();
        do
        {
            var extension = _tokens.Current == "(";
            if (extension)
                _tokens.Next();
            foreach (var part in extension ? [TakeName()] : TakeName().TrimStart('.').Split('.'))
                option.Name.Add(new UninterpretedOption.Types.NamePart { NamePart_ = part, IsExtension = extension });
            if (extension)
                Take(")");
        }
        while (_tokens.Current is not ("=" or ""));
        Take("=");
        _word = _tokens.Current;
        if (_word.StartsWith('"'))
        {
            var literal = "";
            while (_tokens.Current.StartsWith('"'))
                literal += TakeText();
            option.StringValue = ByteString.CopyFromUtf8(ProtoOptions.Unquote(literal));
            return option;
        }
        if (_word == "{")
        {
            option.AggregateValue = TakeAggregate();
            return option;
        }
        if (_word.Length == 0 || _word is ";" or "]" or ",")
            throw _tokens.Fault("a value is expected");
        _tokens.Next();
        if (ulong.TryParse(_word, NumberStyles.None, CultureInfo.InvariantCulture, out var whole))
            option.PositiveIntValue = whole;
        else if (long.TryParse(_word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var negative))
            option.NegativeIntValue = negative;
        else if (!char.IsAsciiLetter(_word[0]) && double.TryParse(_word, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
            option.DoubleValue = number;
        else
            option.IdentifierValue = _word;
        return option;
    }

    private string TakeAggregate()
    {
        var words = new List<string>();
        var open = 0;
        do
        {
            if (_tokens.Current.Length == 0)
                throw _tokens.Fault("options are not ended");
            open += _tokens.Current is "[" or "{" ? 1 : _tokens.Current is "]" or "}" ? -1 : 0;
            words.Add(_tokens.Current.StartsWith('"') ? _tokens.Current + "\"" : _tokens.Current);
            _tokens.Next();
        }
        while (open > 0);
        return string.Join(' ', words[1..^1]);
    }

    private ServiceDescriptorProto ReadService()
    {
        _tokens.Next();
        var service = new ServiceDescriptorProto { Name = TakeName() };
        Take("{");
        while (_tokens.Current != "}")
        {
            switch (_tokens.Current)
            {
                case "rpc":
                    service.Method.Add(ReadMethod());
                    break;
                case "option":
                    TakeOption(service.Options ??= new ServiceOptions());
                    break;
                case ";":
                    _tokens.Next();
                    break;
                default:
                    throw _tokens.Fault($"service {service.Name}: 'rpc' is expected");
            }
        }
        _tokens.Next();
        return service;
    }

    // rpc Name (stream In) returns (stream Out);
    private MethodDescriptorProto ReadMethod()
    {
        _tokens.Next();
        var method = new MethodDescriptorProto { Name = TakeName() };
        Take("(");
        if (_tokens.Current == "stream")
        {
            method.ClientStreaming = true;
            _tokens.Next();
        }
        method.InputType = TakeName();
        Take(")");
        Take("returns");
        Take("(");
        if (_tokens.Current == "stream")
        {
            method.ServerStreaming = true;
            _tokens.Next();
        }
        method.OutputType = TakeName();
        Take(")");
        if (_tokens.Current != "{")
        {
            Take(";");
            return method;
        }
        _tokens.Next();
        while (_tokens.Current != "}")
        {
            if (_tokens.Current == "option")
                TakeOption(method.Options ??= new MethodOptions());
            else
                Take(";");
        }
        _tokens.Next();
        return method;
    }

    private EnumDescriptorProto ReadEnum(string scope)
    {
        var name = TakeName();
        var descriptor = new EnumDescriptorProto { Name = name };
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
                case "option":
                    TakeOption(descriptor.Options ??= new EnumOptions());
                    break;
                case "reserved":
                    ReadReserved(descriptor);
                    break;
                case ";":
                    _tokens.Next();
                    break;
                default:
                    ReadEnumValue(descriptor);
                    if (values++ == 0 && descriptor.Value[0].Number != 0 && _file.Proto3)
                        throw _tokens.Fault($"the first value of enum {name} must be 0 in proto3");
                    break;
            }
        }
        _tokens.Next();
        return descriptor;
    }

    private void ReadEnumValue(EnumDescriptorProto descriptor)
    {
        var value = new EnumValueDescriptorProto { Name = TakeName() };
        Take("=");
        value.Number = TakeNumber();
        descriptor.Value.Add(value);
        if (_tokens.Current == "[")
        {
            _tokens.Next();
            while (_tokens.Current != "]")
            {
                Set(value.Options ??= new EnumValueOptions(), TakeOptionValue());
                if (_tokens.Current == ",")
                    _tokens.Next();
                else if (_tokens.Current != "]")
                    throw _tokens.Fault("',' or ']' is expected between options");
            }
            _tokens.Next();
        }
        Take(";");
    }

    private void ReadReserved(EnumDescriptorProto descriptor)
    {
        _tokens.Next();
        do
        {
            if (_tokens.Current == ",")
                _tokens.Next();
            if (TakeReservedName() is { } name)
            {
                descriptor.ReservedName.Add(name);
            }
            else
            {
                var (from, to) = TakeRange(int.MaxValue);
                descriptor.ReservedRange.Add(new EnumDescriptorProto.Types.EnumReservedRange { Start = from, End = to });
            }
        }
        while (_tokens.Current == ",");
        Take(";");
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
