namespace Millrace.Simulation.Linearizability;

internal enum RegisterAction
{
    Read,
    Write,
    Swap,
}

/// <param name="Expected">Of a swap.</param>
/// <param name="Value">Written, or put in place of the expected one; null is no value.</param>
internal readonly record struct RegisterInput(RegisterAction Action, int? Expected, int? Value);

/// <param name="IsUnknown">Nothing was learnt.</param>
/// <param name="HasSwapped">Of a swap.</param>
/// <param name="Value">Of a read.</param>
internal readonly record struct RegisterOutput(bool IsUnknown, bool HasSwapped, int? Value);

/// <summary>A register with compare-and-swap, at first without a value.</summary>
internal sealed class RegisterModel : ISequentialModel<int, RegisterInput, RegisterOutput>
{
    private const int Nothing = int.MinValue;

    public int Initial => Nothing;

    public bool TryStep(int state, RegisterInput input, RegisterOutput output, out int next)
    {
        next = state;
        switch (input.Action)
        {
            case RegisterAction.Read:
                return output.IsUnknown || (output.Value ?? Nothing) == state;
            case RegisterAction.Write:
                next = input.Value ?? Nothing;
                return true;
            default:
                var matches = state == (input.Expected ?? Nothing);
                if (matches)
                    next = input.Value ?? Nothing;
                return output.IsUnknown || output.HasSwapped == matches;
        }
    }
}

/// <param name="Action">get, put or append.</param>
internal readonly record struct TextInput(string Action, string Value);

/// <summary>A text that is read, replaced or added to; at first empty.</summary>
internal sealed class TextModel : ISequentialModel<string, TextInput, string>
{
    public string Initial => "";

    public bool TryStep(string state, TextInput input, string output, out string next)
    {
        next = input.Action switch
        {
            "put" => input.Value,
            "append" => state + input.Value,
            _ => state,
        };
        return input.Action != "get" || output == state;
    }
}
