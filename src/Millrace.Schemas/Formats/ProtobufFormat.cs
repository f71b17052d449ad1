using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Millrace.Schemas.Formats;

/// <summary>
/// Protobuf: who reads whom follows the wire format and the rules that Confluent's registry draws from it (Schema Evolution and
/// Compatibility, Protobuf): numbers identify fields, types may change within a wire-compatible group, messages may not vanish.
/// </summary>
internal sealed class ProtobufFormat : ParsedSchema
{
    private static readonly Dictionary<string, string> Groups = new(StringComparer.Ordinal)
    {
        ["int32"] = "varint", ["uint32"] = "varint", ["int64"] = "varint", ["uint64"] = "varint", ["bool"] = "varint",
        ["sint32"] = "zigzag", ["sint64"] = "zigzag", ["string"] = "text", ["bytes"] = "text", ["fixed32"] = "fixed32", ["sfixed32"] = "fixed32",
        ["fixed64"] = "fixed64", ["sfixed64"] = "fixed64", ["float"] = "float", ["double"] = "double",
    };

    private readonly List<ProtoFile> _referenced = [];

    public required ProtoFile File { get; init; }

    public static new ProtobufFormat Parse(SchemaContent content, IReadOnlyList<ReferencedSchema> referenced)
    {
        var text = content.Text.Replace("\r\n", "\n", StringComparison.Ordinal).Trim();
        text = Described(text) ?? text + "\n";
        var format = new ProtobufFormat { Content = content with { Text = text }, File = ProtoFile.Parse(text) };
        foreach (var other in referenced)
            format._referenced.Add(ProtoFile.Parse(other.Text));
        foreach (var import in format.File.Imports)
        {
            if (!IsWellKnown(import) && !content.References.Any(r => r.Name == import))
                throw new SchemaFormatException($"the import \"{import}\" is none of the references");
        }
        foreach (var message in format.File.Messages.Values)
        {
            foreach (var field in message.Fields.Values)
            {
                if (format.Resolve(field.Type, message.FullName) is null)
                    throw new SchemaFormatException($"{message.FullName}.{field.Name}: there is no type '{field.Type}'");
            }
        }
        foreach (var message in format.File.Descriptor.MessageType)
            format.ResolveTypes(message, format.File.Package.Length == 0 ? message.Name : $"{format.File.Package}.{message.Name}");
        foreach (var method in format.File.Descriptor.Service.SelectMany(s => s.Method))
        {
            method.InputType = format.Resolve(method.InputType, format.File.Package) is { } input ? "." + input.Name : method.InputType;
            method.OutputType = format.Resolve(method.OutputType, format.File.Package) is { } output ? "." + output.Name : method.OutputType;
        }
        return format;
    }

    // The order of fields and imports says nothing; a file with extensions is left as it is, since its descriptor lacks them.
    public override string NormalText => File.HasExtensions ? Content.Text : ProtoText.Write(File.Descriptor, sorted: true);

    /// <summary><c>serialized</c>: the file's descriptor in base 64, which clients take that have no parser of .proto files.</summary>
    public override string? Format(string name)
    {
        if (name != "serialized")
            return null;
        var descriptor = File.Descriptor.Clone();
        // Clients put all files into one table by name.
        descriptor.Name = Content.Guid + ".proto";
        return Convert.ToBase64String(descriptor.ToByteArray());
    }

    public override bool HasTopLevelField(string name) => File.Descriptor.MessageType.Any(m => m.Field.Any(f => f.Name == name));

    /// <summary>The text of a file that is given as its descriptor in base 64; null when it is not given so.</summary>
    private static string? Described(string text)
    {
        if (text.Length < 4 || !text.All(c => char.IsAsciiLetterOrDigit(c) || c is '+' or '/' or '='))
            return null;
        try
        {
            return ProtoText.Write(FileDescriptorProto.Parser.ParseFrom(Convert.FromBase64String(text)));
        }
        catch (Exception error) when (error is FormatException or InvalidProtocolBufferException)
        {
            throw new SchemaFormatException($"the schema is neither a .proto file nor a file's descriptor in base 64: {error.Message}", error);
        }
    }

    private void ResolveTypes(DescriptorProto message, string fullName)
    {
        foreach (var field in message.Field)
        {
            if (!field.HasTypeName || field.Type == FieldDescriptorProto.Types.Type.Group || Resolve(field.TypeName, fullName) is not { } found)
                continue;
            field.TypeName = "." + found.Name;
            field.Type = found.Kind == ProtoKind.Enum ? FieldDescriptorProto.Types.Type.Enum : FieldDescriptorProto.Types.Type.Message;
        }
        foreach (var nested in message.NestedType)
            ResolveTypes(nested, $"{fullName}.{nested.Name}");
    }

    public override IReadOnlyList<string> FaultsReading(ParsedSchema writer, string readerName, string writerName, bool lenient = false)
    {
        var old = (ProtobufFormat)writer;
        var faults = new List<string>();
        // The bytes stay the same, and what names their type does not: readers that find types by name lose them.
        if (old.File.Package != File.Package)
            Add("PACKAGE_CHANGED", "/", $"the package changed from '{old.File.Package}' to '{File.Package}'");
        foreach (var message in old.File.Messages.Values)
        {
            // A change of the package alone moves all names and changes nothing on the wire.
            if (!File.Messages.TryGetValue(Rebase(message.FullName, old.File.Package, File.Package), out var own))
                Add("MESSAGE_REMOVED", message.FullName, $"the {readerName} schema has no message {message.FullName}");
            else
                Compare(message, own, old, Add);
        }
        return faults;

        void Add(string kind, string path, string description) =>
            faults.Add($"{{errorType:\"{kind}\", description:\"{description} (the {writerName} schema is compared at '{path}')\"}}");
    }

    private void Compare(ProtoMessage written, ProtoMessage own, ProtobufFormat old, Action<string, string, string> add)
    {
        foreach (var field in written.Fields.Values)
        {
            var path = $"{written.FullName}.{field.Name}";
            if (own.Fields.TryGetValue(field.Number, out var now))
                CompareField(written, field, own, now, old, path, add);
            else if (field.Label == ProtoLabel.Required)
                add("REQUIRED_FIELD_REMOVED", path, "a required field was removed");
            // A oneof of which nothing is left was removed as a whole, which is allowed.
            else if (field.Oneof is { } group && (own.Oneofs.Contains(group) || written.Fields.Values.Any(f => f.Oneof == group && own.Fields.ContainsKey(f.Number))))
                add("ONEOF_FIELD_REMOVED", path, "a field was removed from a oneof");
        }
        foreach (var field in own.Fields.Values)
        {
            if (field.Label == ProtoLabel.Required && !written.Fields.ContainsKey(field.Number))
                add("REQUIRED_FIELD_ADDED", $"{own.FullName}.{field.Name}", "a required field was added");
        }
        foreach (var oneof in own.Oneofs)
            CompareOneof(written, own, oneof, add);
    }

    // Fields that could stand beside one another may not come to exclude one another; those of one oneof did so before.
    private static void CompareOneof(ProtoMessage written, ProtoMessage own, string oneof, Action<string, string, string> add)
    {
        var alone = 0;
        var origins = new HashSet<string>(StringComparer.Ordinal);
        foreach (var field in own.Fields.Values)
        {
            if (field.Oneof != oneof || !written.Fields.TryGetValue(field.Number, out var before))
                continue;
            if (before.Oneof is null)
                alone++;
            else
                origins.Add(before.Oneof);
        }
        if (alone > 1)
            add("MULTIPLE_FIELDS_MOVED_TO_ONEOF", $"{own.FullName}.{oneof}", "several fields were moved into one oneof");
        else if (alone + origins.Count > 1)
            add("FIELD_MOVED_TO_EXISTING_ONEOF", $"{own.FullName}.{oneof}", "a field was moved into a oneof with others");
    }

    private void CompareField(
        ProtoMessage written, ProtoField before, ProtoMessage own, ProtoField now, ProtobufFormat old, string path, Action<string, string, string> add)
    {
        if (before.MapKey is null != now.MapKey is null)
        {
            add("FIELD_KIND_CHANGED", path, "a map became another kind of field, or the other way round");
            return;
        }
        if (before.MapKey is not null && GroupOf(before.MapKey) != GroupOf(now.MapKey!))
            add("FIELD_SCALAR_KIND_CHANGED", path, $"the map's keys changed from {before.MapKey} to {now.MapKey}");
        var (oldKind, oldType) = old.Resolve(before.Type, written.FullName)!.Value;
        var (newKind, newType) = Resolve(now.Type, own.FullName)!.Value;
        // An enum travels as a number.
        var number = (oldKind, newKind) is (ProtoKind.Enum, ProtoKind.Scalar) && GroupOf(newType) == "varint"
            || (oldKind, newKind) is (ProtoKind.Scalar, ProtoKind.Enum) && GroupOf(oldType) == "varint";
        if (oldKind != newKind && !number)
            add("FIELD_KIND_CHANGED", path, $"the type changed from {oldType} to {newType}");
        else if (oldKind == ProtoKind.Scalar && newKind == ProtoKind.Scalar && GroupOf(oldType) != GroupOf(newType))
            add("FIELD_SCALAR_KIND_CHANGED", path, $"the type changed from {oldType} to {newType}, which is written in another way");
        else if (oldKind == newKind && oldKind != ProtoKind.Scalar && Rebase(oldType, old.File.Package, File.Package) != newType)
            add("FIELD_NAMED_TYPE_CHANGED", path, $"the type changed from {oldType} to {newType}");
        var repeatedChanged = before.Label == ProtoLabel.Repeated != (now.Label == ProtoLabel.Repeated);
        if (repeatedChanged && (newKind == ProtoKind.Enum || (newKind == ProtoKind.Scalar && GroupOf(newType) != "text")))
            add("FIELD_NUMERIC_LABEL_CHANGED", path, "a number became repeated, or the other way round");
        else if (before.Label == ProtoLabel.Required != (now.Label == ProtoLabel.Required))
            add(now.Label == ProtoLabel.Required ? "REQUIRED_FIELD_ADDED" : "REQUIRED_FIELD_REMOVED", path, "a field became required, or the other way round");
    }

    private enum ProtoKind
    {
        Scalar,
        Message,
        Enum,
    }

    /// <summary>What a type's name means where it stands: the innermost scope that has it (C++ scoping, as protoc does).</summary>
    private (ProtoKind Kind, string Name)? Resolve(string name, string scope)
    {
        if (Groups.ContainsKey(name))
            return (ProtoKind.Scalar, name);
        if (name.StartsWith('.'))
            return Find(name[1..]);
        for (var at = scope; ; at = at.LastIndexOf('.') is >= 0 and var dot ? at[..dot] : "")
        {
            if (Find(at.Length == 0 ? name : at + "." + name) is { } found)
                return found;
            if (at.Length == 0)
                break;
        }
        return name.StartsWith("google.", StringComparison.Ordinal) || name.StartsWith("confluent.", StringComparison.Ordinal) ? (ProtoKind.Message, name) : null;
    }

    private (ProtoKind Kind, string Name)? Find(string fullName)
    {
        if (File.Messages.ContainsKey(fullName) || _referenced.Exists(r => r.Messages.ContainsKey(fullName)))
            return (ProtoKind.Message, fullName);
        if (File.Enums.Contains(fullName) || _referenced.Exists(r => r.Enums.Contains(fullName)))
            return (ProtoKind.Enum, fullName);
        // The one enum among the types that come with every compiler and that fields have.
        if (fullName == "google.protobuf.NullValue")
            return (ProtoKind.Enum, fullName);
        return fullName.StartsWith("google.", StringComparison.Ordinal) || fullName.StartsWith("confluent.", StringComparison.Ordinal) ? (ProtoKind.Message, fullName) : null;
    }

    private static string GroupOf(string scalar) => Groups.GetValueOrDefault(scalar, scalar);

    private static bool IsWellKnown(string import) =>
        import.StartsWith("google/", StringComparison.Ordinal) || import.StartsWith("confluent/", StringComparison.Ordinal);

    private static string Rebase(string name, string from, string to) =>
        from == to ? name
        : from.Length == 0 ? to + "." + name
        : name.StartsWith(from + ".", StringComparison.Ordinal) ? (to.Length == 0 ? "" : to + ".") + name[(from.Length + 1)..]
        : name;
}
