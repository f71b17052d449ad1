using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Millrace.Host.Settings;

/// <summary>Reads small YAML files of known names, such as sagas and transactions, with faults that name their place.</summary>
internal static class YamlMappings
{
    /// <summary>The file's one document.</summary>
    /// <exception cref="SettingsException">It is no YAML, or empty.</exception>
    public static YamlNode Load(string yaml, string file, string hint)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException error)
        {
            throw new SettingsException(file, (int)error.Start.Line, (int)error.Start.Column, error.Message);
        }
        return stream.Documents.Count > 0 ? stream.Documents[0].RootNode : throw new SettingsException(file, 1, 1, "the file is empty", hint);
    }

    /// <summary>A mapping with no other names than these.</summary>
    public static Dictionary<string, YamlNode> Mapping(YamlNode node, string file, params ReadOnlySpan<string> names)
    {
        if (node is not YamlMappingNode mapping)
            throw SettingsFile.Fault(node, file, "expected a mapping with " + string.Join(", ", names.ToArray()));
        var found = new Dictionary<string, YamlNode>();
        foreach (var (key, value) in mapping.Children)
        {
            var name = SettingsFile.Text(key, file);
            if (!names.Contains(name))
                throw SettingsFile.Fault(key, file, $"unknown name '{name}'", "the names here are " + string.Join(", ", names.ToArray()));
            found[name] = value;
        }
        return found;
    }

    public static YamlNode Required(Dictionary<string, YamlNode> mapping, string name, YamlNode at, string file) =>
        mapping.GetValueOrDefault(name) ?? throw SettingsFile.Fault(at, file, $"'{name}' is missing");
}
