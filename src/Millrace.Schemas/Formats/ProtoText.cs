using System.Globalization;
using System.Text;
using Google.Protobuf.Reflection;

namespace Millrace.Schemas.Formats;

/// <summary>
/// Writes a file's descriptor as .proto text. Clients that have no text (Python, .NET, JavaScript) register the descriptor; types are
/// written with their full names. Options that are extensions are not in a descriptor by name and are left out.
/// </summary>
/// <param name="sorted">Fields by number, imports by name: the same for files that say the same. Messages keep their places, which records tell them by.</param>
internal sealed class ProtoText(bool sorted)
{
    private readonly StringBuilder _text = new();
    private bool _proto3;

    public static string Write(FileDescriptorProto file, bool sorted = false)
    {
        var text = new ProtoText(sorted);
        text.WriteFile(file);
        return text._text.ToString();
    }

    private void WriteFile(FileDescriptorProto file)
    {
        _proto3 = file.Syntax == "proto3";
        Line(0, file.Syntax == "editions"
            ? $"edition = \"{file.Edition.ToString().TrimStart('_').Replace("Edition", "", StringComparison.Ordinal)}\";"
            : $"syntax = \"{(file.Syntax.Length == 0 ? "proto2" : file.Syntax)}\";");
        if (file.Package.Length > 0)
            Line(0, $"package {file.Package};");
        var imports = file.Dependency.Select((name, i) =>
            (Name: name, Text: $"import {(file.PublicDependency.Contains(i) ? "public " : file.WeakDependency.Contains(i) ? "weak " : "")}\"{name}\";"));
        foreach (var import in sorted ? imports.OrderBy(i => i.Name, StringComparer.Ordinal) : imports)
            Line(0, import.Text);
        foreach (var option in ProtoOptions.Print(file.Options))
            Line(0, $"option {option};");
        foreach (var message in file.MessageType)
            WriteMessage(message, "message " + message.Name, 0);
        foreach (var type in file.EnumType)
            WriteEnum(type, 0);
        foreach (var service in file.Service)
            WriteService(service);
    }

    private void WriteMessage(DescriptorProto message, string head, int depth)
    {
        Line(depth, head + " {");
        foreach (var option in ProtoOptions.Print(message.Options))
            Line(depth + 1, $"option {option};");
        foreach (var range in message.ReservedRange)
            Line(depth + 1, $"reserved {Range(range.Start, range.End - 1)};");
        if (message.ReservedName.Count > 0)
            Line(depth + 1, $"reserved {string.Join(", ", message.ReservedName.Select(ProtoOptions.Quote))};");
        foreach (var range in message.ExtensionRange)
            Line(depth + 1, $"extensions {Range(range.Start, range.End - 1)};");
        var oneofs = new HashSet<int>();
        foreach (var field in sorted ? message.Field.OrderBy(f => f.Number) : message.Field.AsEnumerable())
        {
            if (!field.HasOneofIndex || field.Proto3Optional)
                WriteField(field, message, depth + 1, inOneof: false);
            else if (oneofs.Add(field.OneofIndex))
                WriteOneof(message, field.OneofIndex, depth + 1);
        }
        foreach (var nested in message.NestedType.Where(n => n.Options?.MapEntry != true && !message.Field.Any(f => IsGroup(f, n))))
            WriteMessage(nested, "message " + nested.Name, depth + 1);
        foreach (var type in message.EnumType)
            WriteEnum(type, depth + 1);
        Line(depth, "}");
    }

    private void WriteOneof(DescriptorProto message, int index, int depth)
    {
        Line(depth, $"oneof {message.OneofDecl[index].Name} {{");
        foreach (var option in ProtoOptions.Print(message.OneofDecl[index].Options))
            Line(depth + 1, $"option {option};");
        var fields = message.Field.Where(f => f.HasOneofIndex && f.OneofIndex == index);
        foreach (var field in sorted ? fields.OrderBy(f => f.Number) : fields)
            WriteField(field, message, depth + 1, inOneof: true);
        Line(depth, "}");
    }

    private void WriteField(FieldDescriptorProto field, DescriptorProto message, int depth, bool inOneof)
    {
        var options = new List<string>();
        if (field.HasDefaultValue)
            options.Add("default = " + (field.Type is FieldDescriptorProto.Types.Type.String ? ProtoOptions.Quote(field.DefaultValue)
                : field.Type is FieldDescriptorProto.Types.Type.Bytes ? $"\"{field.DefaultValue}\"" : field.DefaultValue));
        if (field.HasJsonName && field.JsonName != ProtoNames.Json(field.Name))
            options.Add("json_name = " + ProtoOptions.Quote(field.JsonName));
        options.AddRange(ProtoOptions.Print(field.Options));
        var tail = $" = {field.Number}{(options.Count == 0 ? "" : $" [{string.Join(", ", options)}]")}";
        var entry = message.NestedType.FirstOrDefault(n => n.Options?.MapEntry == true && field.TypeName.EndsWith("." + n.Name, StringComparison.Ordinal));
        if (entry is not null && field.Type == FieldDescriptorProto.Types.Type.Message)
        {
            Line(depth, $"map<{ProtoNames.TypeOf(entry.Field[0])}, {ProtoNames.TypeOf(entry.Field[1])}> {field.Name}{tail};");
            return;
        }
        var label = inOneof ? "" : field.Label switch
        {
            FieldDescriptorProto.Types.Label.Repeated => "repeated ",
            FieldDescriptorProto.Types.Label.Required => "required ",
            _ => field.Proto3Optional || !_proto3 ? "optional " : "",
        };
        if (field.Type == FieldDescriptorProto.Types.Type.Group && message.NestedType.FirstOrDefault(n => IsGroup(field, n)) is { } group)
            WriteMessage(group, $"{label}group {group.Name}{tail}", depth);
        else
            Line(depth, $"{label}{ProtoNames.TypeOf(field)} {field.Name}{tail};");
    }

    private void WriteEnum(EnumDescriptorProto type, int depth)
    {
        Line(depth, $"enum {type.Name} {{");
        foreach (var option in ProtoOptions.Print(type.Options))
            Line(depth + 1, $"option {option};");
        foreach (var range in type.ReservedRange)
            Line(depth + 1, $"reserved {Range(range.Start, range.End)};");
        if (type.ReservedName.Count > 0)
            Line(depth + 1, $"reserved {string.Join(", ", type.ReservedName.Select(ProtoOptions.Quote))};");
        foreach (var value in type.Value)
        {
            var options = ProtoOptions.Print(value.Options);
            Line(depth + 1, $"{value.Name} = {value.Number}{(options.Count == 0 ? "" : $" [{string.Join(", ", options)}]")};");
        }
        Line(depth, "}");
    }

    private void WriteService(ServiceDescriptorProto service)
    {
        Line(0, $"service {service.Name} {{");
        foreach (var option in ProtoOptions.Print(service.Options))
            Line(1, $"option {option};");
        foreach (var method in service.Method)
        {
            var options = ProtoOptions.Print(method.Options);
            var head = $"rpc {method.Name} ({(method.ClientStreaming ? "stream " : "")}{method.InputType}) returns ({(method.ServerStreaming ? "stream " : "")}{method.OutputType})";
            Line(1, head + (options.Count == 0 ? ";" : " {"));
            if (options.Count == 0)
                continue;
            foreach (var option in options)
                Line(2, $"option {option};");
            Line(1, "}");
        }
        Line(0, "}");
    }

    private static bool IsGroup(FieldDescriptorProto field, DescriptorProto nested) =>
        field.Type == FieldDescriptorProto.Types.Type.Group && field.TypeName.EndsWith(nested.Name, StringComparison.Ordinal);

    private static string Range(int from, int to) =>
        from == to ? from.ToString(CultureInfo.InvariantCulture)
        : $"{from} to {(to >= (1 << 29) - 1 ? "max" : to.ToString(CultureInfo.InvariantCulture))}";

    private void Line(int depth, string text) => _text.Append(' ', depth * 2).Append(text).Append('\n');
}

/// <summary>Names in descriptors.</summary>
internal static class ProtoNames
{
    /// <summary>The name that a field has in JSON when it says none (Protocol Buffers Language Guide, JSON Mapping).</summary>
    public static string Json(string name)
    {
        var json = new StringBuilder();
        var upper = false;
        foreach (var c in name)
        {
            if (c != '_')
                json.Append(upper ? char.ToUpperInvariant(c) : c);
            upper = c == '_';
        }
        return json.ToString();
    }

    /// <summary>The nested message that a map's entries are.</summary>
    public static string Entry(string field)
    {
        var name = Json(field);
        return (name.Length == 0 ? name : char.ToUpperInvariant(name[0]) + name[1..]) + "Entry";
    }

    public static string TypeOf(FieldDescriptorProto field) => field.HasTypeName ? field.TypeName : field.Type.ToString().ToLowerInvariant();

    /// <summary>The type of a scalar's name; null when it is the name of a message or an enum.</summary>
    public static FieldDescriptorProto.Types.Type? Scalar(string name) => name switch
    {
        "double" => FieldDescriptorProto.Types.Type.Double,
        "float" => FieldDescriptorProto.Types.Type.Float,
        "int64" => FieldDescriptorProto.Types.Type.Int64,
        "uint64" => FieldDescriptorProto.Types.Type.Uint64,
        "int32" => FieldDescriptorProto.Types.Type.Int32,
        "fixed64" => FieldDescriptorProto.Types.Type.Fixed64,
        "fixed32" => FieldDescriptorProto.Types.Type.Fixed32,
        "bool" => FieldDescriptorProto.Types.Type.Bool,
        "string" => FieldDescriptorProto.Types.Type.String,
        "bytes" => FieldDescriptorProto.Types.Type.Bytes,
        "uint32" => FieldDescriptorProto.Types.Type.Uint32,
        "sfixed32" => FieldDescriptorProto.Types.Type.Sfixed32,
        "sfixed64" => FieldDescriptorProto.Types.Type.Sfixed64,
        "sint32" => FieldDescriptorProto.Types.Type.Sint32,
        "sint64" => FieldDescriptorProto.Types.Type.Sint64,
        _ => null,
    };
}
