namespace Millrace.Log.Topics;

/// <summary>Kafka's rule for topic names; it also keeps them safe as folder names.</summary>
internal static class TopicName
{
    public const int MaxLength = 249;

    /// <summary>What is wrong with a name, or null.</summary>
    public static string? Check(string name)
    {
        if (name.Length == 0)
            return "Topic name is invalid: the empty string is not allowed";
        if (name is "." or "..")
            return "Topic name is invalid: '.' or '..' is not allowed";
        if (name.Length > MaxLength)
            return $"Topic name is invalid: the length of {name.Length} is longer than the max allowed length {MaxLength}";
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-'))
                return "Topic name is invalid: it contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
        }
        return null;
    }

    /// <summary>Topics of the broker itself, which clients may read but not write or delete.</summary>
    public static bool IsInternal(string name) => name.StartsWith("__", StringComparison.Ordinal);
}
