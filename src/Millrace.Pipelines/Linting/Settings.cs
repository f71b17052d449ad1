using System.Buffers;
using System.Globalization;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>One setting, from an address's options or from a field.</summary>
internal sealed record Setting(string Value, Place Place, Func<int, int, Place> At);

/// <summary>The settings of a source or sink: options of its address and fields beside it, each at one place only.</summary>
internal sealed class Settings
{
    private readonly Endpoint _endpoint;
    private readonly Text _text;
    private readonly DiagnosticBag _faults;

    public Settings(Endpoint endpoint, Text text, DiagnosticBag faults, IReadOnlyCollection<string> known, string what)
    {
        (_endpoint, _text, _faults) = (endpoint, text, faults);
        foreach (var option in endpoint.Options)
        {
            if (!known.Contains(option.Key))
                faults.Error(text.At(option.KeySpan.Offset, option.KeySpan.Length), "unknown-option", $"{what} has no option '{option.Key}'", NearestName.Hint(option.Key, known, "its options are"));
        }
    }

    public Setting? Take(string name, Text? field)
    {
        var option = _endpoint.Options.FirstOrDefault(o => o.Key == name);
        if (option is null)
            return field is null ? null : new Setting(field.Value, field.Place, field.At);
        var place = _text.At(option.ValueSpan.Offset, option.ValueSpan.Length);
        if (field is not null)
            _faults.Error(field.Place, "duplicate-name", $"'{name}' stands twice: here and in the address", "keep one");
        if (option.Value.Length == 0)
        {
            _faults.Error(_text.At(option.KeySpan.Offset, option.KeySpan.Length), "empty", $"'{name}' has no value");
            return null;
        }
        return new Setting(option.Value, place, (offset, length) => _text.At(option.ValueSpan.Offset + offset, length));
    }

    public TimeSpan? Duration(string name, Text? field) =>
        Take(name, field) is { } setting ? Durations.Read(setting.Value, setting.Place, _faults) : null;

    public long? Size(string name, Text? field)
    {
        if (Take(name, field) is not { } setting)
            return null;
        if (ByteSizeText.TryParse(setting.Value, out var bytes))
            return bytes;
        _faults.Error(setting.Place, "bad-size", $"'{setting.Value}' is not a size", ByteSizeText.Hint);
        return null;
    }

    public int? Count(string name, Text? field)
    {
        if (Take(name, field) is not { } setting)
            return null;
        if (int.TryParse(setting.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0)
            return count;
        _faults.Error(setting.Place, "bad-number", $"'{setting.Value}' is not a whole number above zero");
        return null;
    }

    public string? OneOf(string name, Text? field, string[] values)
    {
        if (Take(name, field) is not { } setting || values.Contains(setting.Value))
            return Take(name, null)?.Value ?? field?.Value;
        _faults.Error(setting.Place, "bad-value", $"'{name}' cannot be '{setting.Value}'", NearestName.Hint(setting.Value, values, "it is one of"));
        return null;
    }
}

/// <summary>Faults of small texts, told at their places in the file.</summary>
internal static class Places
{
    private const int LongestTopic = 249;

    private static readonly SearchValues<char> TopicLetters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    public static void Tell(Text text, IEnumerable<TextFault> found, DiagnosticBag faults, int shift = 0, string? next = null)
    {
        foreach (var fault in found)
            faults.Error(text.At(fault.Offset + shift, fault.Length), fault.Code, fault.Message, fault.Hint, next);
    }

    /// <summary>Kafka's rule for topic names: letters, digits, '.', '_' and '-', at most 249.</summary>
    public static bool CheckTopic(Endpoint endpoint, Text text, DiagnosticBag faults) => CheckTopic(endpoint.Path, endpoint.PathSpan.Offset, text.At, faults);

    /// <summary>The same for a text that is a topic's name alone.</summary>
    public static bool CheckTopic(Text text, DiagnosticBag faults) => CheckTopic(text.Value, 0, text.At, faults);

    /// <summary>The same for a setting that is a topic's name alone.</summary>
    public static bool CheckTopic(Setting setting, DiagnosticBag faults) => CheckTopic(setting.Value, 0, setting.At, faults);

    private static bool CheckTopic(string name, int offset, Func<int, int, Place> at, DiagnosticBag faults)
    {
        var bad = name.AsSpan().IndexOfAnyExcept(TopicLetters);
        if (bad < 0 && name.Length <= LongestTopic && name is not ("." or ".."))
            return true;
        var place = bad < 0 ? at(offset, name.Length) : at(offset + bad, 1);
        faults.Error(place, "bad-name", bad < 0 ? $"'{name}' cannot name a topic" : $"'{name[bad]}' cannot stand in a topic's name", "letters, digits, '.', '_' and '-', at most 249");
        return false;
    }
}
