using System.Collections;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Sql;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace Millrace.Pipelines.Files;

/// <summary>Makes file records from YAML nodes: unknown, missing and doubled fields become diagnostics with places; nothing throws.</summary>
internal sealed class FileBinder(DiagnosticBag faults)
{
    private const int DeepestNesting = 32;
    private const int LongestFile = 1 << 20;

    /// <summary>Reads a whole file; null when it is no YAML mapping at all.</summary>
    public PipelineFile? Bind(string file)
    {
        if (Load() is not { } root)
            return null;
        if (root is not YamlMappingNode mapping)
        {
            faults.Error(PlaceOf(root), "not-a-map", "a pipeline file is a map of fields", "begin with: pipeline: NAME", $"./millrace gen TOPIC > {file}");
            return null;
        }
        return (PipelineFile?)BindRecord(mapping, typeof(PipelineFile), "the file", 0);
    }

    private YamlNode? Load()
    {
        if (faults.Source.Content.Length > LongestFile)
        {
            faults.Error(new Place(1, 1, 1), "too-long", $"the file has more than {LongestFile} characters");
            return null;
        }
        var parser = new Parser(new StringReader(faults.Source.Content));
        var stream = new YamlStream();
        try
        {
            if (!CheckEvents())
                return null;
            stream.Load(parser);
        }
        catch (YamlException error)
        {
            TellBroken(error);
            return null;
        }
        catch (Exception error) when (error is InvalidOperationException or ArgumentException)
        {
            // YamlDotNet's scanner trips so over some broken flow maps; where it stood is near enough.
            var start = (int)Math.Min(parser.Current?.End.Index ?? 0, faults.Source.Content.Length);
            faults.Error(faults.Source.PlaceOf(start, start + 1), "yaml", "this is not valid YAML", "is every { [ and quote closed, and on one line?");
            return null;
        }
        if (stream.Documents.Count == 0)
        {
            faults.Error(new Place(1, 1, 1), "empty-file", "the file is empty", "begin with: pipeline: NAME", "./millrace gen TOPIC");
            return null;
        }
        if (stream.Documents.Count > 1)
        {
            faults.Error(PlaceOf(stream.Documents[1].RootNode), "yaml", "one file holds one pipeline; here a second document begins", "put it into its own file");
            return null;
        }
        return stream.Documents[0].RootNode;
    }

    // Nodes are read by recursion, and aliases would let a small file stand for a huge one: both are refused before.
    private bool CheckEvents()
    {
        var parser = new Parser(new StringReader(faults.Source.Content));
        var depth = 0;
        while (parser.MoveNext())
        {
            var at = faults.Source.PlaceOf((int)parser.Current!.Start.Index, (int)parser.Current.End.Index);
            depth += parser.Current.NestingIncrease;
            if (depth > DeepestNesting)
            {
                faults.Error(at, "too-deep", $"maps and lists are nested more than {DeepestNesting} deep");
                return false;
            }
            if (parser.Current is AnchorAlias)
            {
                faults.Error(at, "yaml", "aliases (*name) are not supported", "write the value again");
                return false;
            }
        }
        return true;
    }

    private void TellBroken(YamlException error)
    {
        var start = (int)Math.Min(error.Start.Index, faults.Source.Content.Length);
        var at = faults.Source.PlaceOf(start, (int)Math.Max(error.End.Index, start + 1));
        var message = error.InnerException?.Message ?? error.Message;
        var line = faults.Source.Line(at.Line);
        if (message.StartsWith("Duplicate key", StringComparison.Ordinal))
            faults.Error(at, "duplicate-name", $"'{line.Trim().Split(':')[0]}' stands twice in one map", "keep one, or rename one");
        else
            faults.Error(at, "yaml", $"this is not valid YAML: {Lower(message)}", YamlHint(line, message));
    }

    private object? BindRecord(YamlNode node, Type type, string where, int depth)
    {
        var model = FileModel.Of(type);
        var record = Activator.CreateInstance(type)!;
        if (node is YamlScalarNode scalar && model.ShortForm is { } shortForm)
        {
            if (!TellEmpty(scalar, where, shortForm))
                shortForm.Property.SetValue(record, Text.Of(scalar, faults.Source));
            return record;
        }
        if (node is not YamlMappingNode mapping)
        {
            var fields = string.Join(", ", model.Fields.Select(f => f.About.Name));
            faults.Error(PlaceOf(node), "not-a-map", $"{where} is a map with the fields {fields}", ExampleOf(model));
            return null;
        }
        var misspelt = new HashSet<string>();
        foreach (var (keyNode, value) in mapping.Children)
        {
            if (keyNode is not YamlScalarNode key)
            {
                faults.Error(PlaceOf(keyNode), "bad-name", "a field's name is a plain word");
                continue;
            }
            if (model.Find(key.Value ?? "") is { } field)
                BindField(record, field, key, value, depth);
            else if (TellUnknown(model, key, value, where) is { } meant)
                misspelt.Add(meant);
        }
        foreach (var field in model.Fields)
        {
            if (field.About.Required && !misspelt.Contains(field.About.Name) && !mapping.Children.Keys.OfType<YamlScalarNode>().Any(k => k.Value == field.About.Name))
                faults.Error(StartOf(mapping), "missing-field", $"{where} has no '{field.About.Name}'", $"{field.About.Name}: {field.About.Example ?? "..."}");
        }
        return record;
    }

    private void BindField(object record, FileModelField field, YamlScalarNode key, YamlNode value, int depth)
    {
        var where = $"'{field.About.Name}'";
        if (value is YamlScalarNode scalar && TellEmpty(scalar, where, field))
            return;
        if (BindValue(value, field.Type, where, field.About, depth + 1) is { } bound)
            field.Property.SetValue(record, bound);
    }

    private object? BindValue(YamlNode node, Type type, string where, FileFieldAttribute about, int depth)
    {
        if (type == typeof(Text))
            return BindText(node, where, about);
        if (!type.IsGenericType)
            return BindRecord(node, type, where, depth);
        var element = type.GetGenericArguments()[0];
        return type.GetGenericTypeDefinition() == typeof(FileMap<>)
            ? BindMap(node, element, where, about, depth)
            : BindList(node, element, where, about, depth);
    }

    private Text? BindText(YamlNode node, string where, FileFieldAttribute about)
    {
        if (node is not YamlScalarNode scalar)
        {
            faults.Error(PlaceOf(node), "not-a-text", $"{where} is one text, not a {(node is YamlMappingNode ? "map" : "list")}", about.Example);
            return null;
        }
        var text = Text.Of(scalar, faults.Source);
        if (about.Values is { } values && !values.Contains(text.Value))
        {
            faults.Error(text.Place, "bad-value", $"{where} cannot be '{text.Value}'", NearestName.Hint(text.Value, values, "it is one of"));
            return null;
        }
        return text;
    }

    private object? BindMap(YamlNode node, Type element, string where, FileFieldAttribute about, int depth)
    {
        if (node is not YamlMappingNode mapping)
        {
            faults.Error(PlaceOf(node), "not-a-map", $"{where} is a map: {about.Key} to value", about.Example);
            return null;
        }
        var entryType = typeof(FileEntry<>).MakeGenericType(element);
        var entries = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(entryType))!;
        foreach (var (keyNode, value) in mapping.Children)
        {
            if (keyNode is not YamlScalarNode key)
            {
                faults.Error(PlaceOf(keyNode), "bad-name", "a name is a plain word");
                continue;
            }
            var name = $"{where.Trim('\'')}.{key.Value}";
            if (value is YamlScalarNode { Value: null or "", Style: ScalarStyle.Plain })
                faults.Error(PlaceOf(key), "empty", $"'{name}' has no value");
            else if (BindValue(value, element, $"'{name}'", about, depth + 1) is { } bound)
                entries.Add(Activator.CreateInstance(entryType, Text.Of(key, faults.Source), bound));
        }
        return Activator.CreateInstance(typeof(FileMap<>).MakeGenericType(element), entries);
    }

    private object? BindList(YamlNode node, Type element, string where, FileFieldAttribute about, int depth)
    {
        var nodes = node is YamlSequenceNode sequence ? sequence.Children : (IList<YamlNode>)[node];
        var items = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(element))!;
        foreach (var child in nodes)
        {
            if (child is YamlScalarNode { Value: null or "", Style: ScalarStyle.Plain })
                faults.Error(PlaceOf(child), "empty", $"an item of {where} is empty");
            else if (BindValue(child, element, node == child ? where : $"an item of {where}", about, depth + 1) is { } bound)
                items.Add(bound);
        }
        return Activator.CreateInstance(typeof(FileList<>).MakeGenericType(element), items);
    }

    /// <summary>Tells of a field that there is not, and gives the one that was meant, if one is near.</summary>
    private string? TellUnknown(FileModel model, YamlScalarNode key, YamlNode value, string where)
    {
        var name = key.Value ?? "";
        var names = model.Fields.Select(f => f.About.Name).ToArray();
        var hint = NearestName.Hint(name, names, "its fields are");
        // In {to: iceberg:a.b?key=x,y} YAML ends the address at the comma; the rest looks like a field without value.
        if (value is YamlScalarNode { Value: null or "" } && model.ShortForm is not null)
            hint = "an address with a comma inside { } stands in quotes: \"...\"";
        faults.Error(PlaceOf(key), "unknown-field", $"{where} has no field '{name}'", hint);
        return NearestName.Find(name, names);
    }

    private bool TellEmpty(YamlScalarNode scalar, string where, FileModelField field)
    {
        if (!string.IsNullOrEmpty(scalar.Value) || (scalar.Style != ScalarStyle.Plain && !field.About.Required))
            return false;
        faults.Error(PlaceOf(scalar), "empty", $"{where} has no value", field.About.Example is { } example ? $"{field.About.Name}: {example}" : null);
        return true;
    }

    private static string? ExampleOf(FileModel model) =>
        model.ShortForm?.About is { Example: { } example } ? $"e.g. {example}" : null;

    private static string? YamlHint(string line, string message)
    {
        if (line.Contains('\t', StringComparison.Ordinal))
            return "YAML is indented by spaces, never by tabs";
        if (message.Contains("expected key", StringComparison.Ordinal))
            return "is it indented as the lines around it?";
        return line.Contains(": ", StringComparison.Ordinal) ? "a text that holds ': ' or begins with a sign stands in quotes" : null;
    }

    private static string Lower(string message) =>
        message.Length > 0 ? char.ToLowerInvariant(message[0]) + message[1..].TrimEnd('.') : "unknown reason";

    private Place PlaceOf(YamlNode node)
    {
        if (node is YamlScalarNode scalar)
            return Text.Of(scalar, faults.Source).Place;
        return faults.Source.PlaceOf((int)node.Start.Index, (int)node.End.Index);
    }

    private Place StartOf(YamlMappingNode mapping) =>
        mapping.Children.Count > 0 && mapping.Style != YamlDotNet.Core.Events.MappingStyle.Flow ? PlaceOf(mapping.Children.First().Key) : PlaceOf(mapping);
}
