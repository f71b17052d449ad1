using System.Text;

namespace Millrace.Iceberg.Catalogs;

/// <summary>A namespace: one or more levels. Names are free text; <see cref="FolderNames"/> makes them safe for a disk.</summary>
public sealed record Namespace
{
    public Namespace(params IReadOnlyList<string> levels)
    {
        foreach (var level in levels)
            FolderNames.Check(level, "namespace");
        Levels = levels;
    }

    public IReadOnlyList<string> Levels { get; }

    public bool IsRoot => Levels.Count == 0;

    /// <summary>Levels between dots.</summary>
    public static Namespace Parse(string text) => new(text.Split('.'));

    public bool Equals(Namespace? other) => other is not null && Levels.SequenceEqual(other.Levels, StringComparer.Ordinal);

    public override int GetHashCode() => Levels.Aggregate(17, HashCode.Combine);

    public override string ToString() => string.Join('.', Levels);
}

/// <summary>A table's name in a catalog.</summary>
public sealed record TableIdent
{
    public TableIdent(Namespace space, string name)
    {
        FolderNames.Check(name, "table");
        if (space.IsRoot)
            throw new IcebergException($"the table '{name}' needs a namespace, e.g. 'sales.{name}'");
        Namespace = space;
        Name = name;
    }

    public Namespace Namespace { get; }

    public string Name { get; }

    /// <summary>The last part is the table, all before it the namespace: <c>sales.by_country</c>.</summary>
    public static TableIdent Parse(string text)
    {
        var dot = text.LastIndexOf('.');
        return dot > 0
            ? new TableIdent(Namespace.Parse(text[..dot]), text[(dot + 1)..])
            : throw new IcebergException($"'{text}' is no table name; write namespace.table, e.g. sales.by_country");
    }

    public override string ToString() => $"{Namespace}.{Name}";
}

/// <summary>
/// Names to folder names and back: letters, digits, _ and - stand for themselves, every other byte of the UTF-8 becomes %XX. No name
/// can leave its folder, be hidden, or meet the folders that a table keeps its own files in.
/// </summary>
internal static class FolderNames
{
    // File systems take 255 bytes; a name that is longer when encoded is refused before anything is made.
    private const int MostBytes = 240;

    public static void Check(string name, string what)
    {
        if (string.IsNullOrWhiteSpace(name))
            throw new IcebergException($"a {what} name is empty");
        if (name.Contains('\0', StringComparison.Ordinal) || name.Contains('\u001f', StringComparison.Ordinal))
            throw new IcebergException($"the {what} name '{name.Replace('\0', '?').Replace('\u001f', '?')}' has a control character");
        if (Encode(name).Length > MostBytes)
            throw new IcebergException($"the {what} name '{name[..20]}...' is longer than {MostBytes} bytes");
    }

    public static string Encode(string name)
    {
        var text = new StringBuilder(name.Length);
        foreach (var b in Encoding.UTF8.GetBytes(name))
        {
            if (char.IsAsciiLetterOrDigit((char)b) || b is (byte)'_' or (byte)'-')
                text.Append((char)b);
            else
                text.Append('%').Append(b.ToString("X2"));
        }
        // A table's own folders.
        if (text.ToString() is "metadata" or "data")
            return $"%{(int)text[0]:X2}" + text.ToString(1, text.Length - 1);
        return text.ToString();
    }

    /// <summary>The name of a folder, or null when no name has it: a folder that somebody else made.</summary>
    public static string? Decode(string folder)
    {
        var bytes = new List<byte>(folder.Length);
        for (var i = 0; i < folder.Length; i++)
        {
            if (folder[i] == '%')
            {
                if (i + 2 >= folder.Length || !byte.TryParse(folder.AsSpan(i + 1, 2), System.Globalization.NumberStyles.HexNumber, null, out var b))
                    return null;
                bytes.Add(b);
                i += 2;
                continue;
            }
            if (folder[i] > 127)
                return null;
            bytes.Add((byte)folder[i]);
        }
        var name = Encoding.UTF8.GetString(bytes.ToArray());
        return Encode(name) == folder ? name : null;
    }
}
