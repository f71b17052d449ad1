using System.Collections;
using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Millrace.Schemas.Formats;

/// <summary>Options of a .proto file: those that descriptor.proto defines become its fields, the others stay as they were written.</summary>
internal static class ProtoOptions
{
    private const string Others = "uninterpreted_option";

    /// <exception cref="FormatException">The value is none of the option's type.</exception>
    public static void Set(IMessage options, UninterpretedOption option)
    {
        var field = option.Name.Count == 1 && !option.Name[0].IsExtension ? options.Descriptor.FindFieldByName(option.Name[0].NamePart_) : null;
        if (field is null || field.IsRepeated || field.FieldType == FieldType.Message || field.Name == Others)
        {
            ((IList)options.Descriptor.FindFieldByName(Others).Accessor.GetValue(options)).Add(option);
            return;
        }
        object? value = field.FieldType switch
        {
            FieldType.Bool => option.IdentifierValue switch { "true" => true, "false" => false, _ => null },
            FieldType.String when option.HasStringValue => option.StringValue.ToStringUtf8(),
            FieldType.Enum when field.EnumType.FindValueByName(option.IdentifierValue) is { } known => Enum.ToObject(field.EnumType.ClrType, known.Number),
            _ => null,
        };
        field.Accessor.SetValue(options, value ?? throw new FormatException($"the option {field.Name} has a value that is none of its"));
    }

    /// <summary>The options that are set, each as <c>name = value</c>.</summary>
    public static List<string> Print(IMessage? options)
    {
        var printed = new List<string>();
        if (options is null)
            return printed;
        foreach (var field in options.Descriptor.Fields.InFieldNumberOrder())
        {
            if (field.Name == Others || field.IsRepeated || field.FieldType == FieldType.Message || !field.Accessor.HasValue(options))
                continue;
            // Map entries are printed as maps.
            if (field.Name == "map_entry")
                continue;
            var value = field.Accessor.GetValue(options);
            printed.Add($"{field.Name} = " + (value switch
            {
                bool flag => flag ? "true" : "false",
                string text => Quote(text),
                Enum chosen => field.EnumType.FindValueByNumber(Convert.ToInt32(chosen, CultureInfo.InvariantCulture))?.Name ?? "0",
                _ => Convert.ToString(value, CultureInfo.InvariantCulture),
            }));
        }
        foreach (UninterpretedOption option in (IList)options.Descriptor.FindFieldByName(Others).Accessor.GetValue(options))
            printed.Add($"{string.Join('.', option.Name.Select(p => p.IsExtension ? $"({p.NamePart_})" : p.NamePart_))} = {ValueOf(option)}");
        return printed;
    }

    public static string Quote(string text)
    {
        var quoted = new System.Text.StringBuilder("\"");
        foreach (var c in text)
        {
            _ = c switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\r' => quoted.Append("\\r"),
                '\t' => quoted.Append("\\t"),
                _ => quoted.Append(c),
            };
        }
        return quoted.Append('"').ToString();
    }

    /// <summary>A text literal's content without its escapes (Protocol Buffers Language Specification, Constant).</summary>
    public static string Unquote(string literal)
    {
        if (!literal.Contains('\\', StringComparison.Ordinal))
            return literal;
        var text = new System.Text.StringBuilder();
        for (var i = 0; i < literal.Length; i++)
        {
            if (literal[i] != '\\' || i + 1 >= literal.Length)
            {
                text.Append(literal[i]);
                continue;
            }
            var c = literal[++i];
            var digits = 0;
            if (c is 'x' or 'X')
            {
                while (digits < 2 && i + 1 + digits < literal.Length && char.IsAsciiHexDigit(literal[i + 1 + digits]))
                    digits++;
                text.Append(digits == 0 ? c : (char)Convert.ToInt32(literal.Substring(i + 1, digits), 16));
                i += digits;
            }
            else if (c is >= '0' and <= '7')
            {
                digits = 1;
                while (digits < 3 && i + digits < literal.Length && literal[i + digits] is >= '0' and <= '7')
                    digits++;
                text.Append((char)Convert.ToInt32(literal.Substring(i, digits), 8));
                i += digits - 1;
            }
            else
            {
                text.Append(c switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'a' => '\a', 'b' => '\b', 'f' => '\f', 'v' => '\v', _ => c });
            }
        }
        return text.ToString();
    }

    private static string ValueOf(UninterpretedOption option) =>
        option.HasStringValue ? Quote(option.StringValue.ToStringUtf8())
        : option.HasAggregateValue ? $"{{ {option.AggregateValue} }}"
        : option.HasPositiveIntValue ? option.PositiveIntValue.ToString(CultureInfo.InvariantCulture)
        : option.HasNegativeIntValue ? option.NegativeIntValue.ToString(CultureInfo.InvariantCulture)
        : option.HasDoubleValue ? option.DoubleValue.ToString("R", CultureInfo.InvariantCulture)
        : option.IdentifierValue;
}
