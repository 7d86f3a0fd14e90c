"""An exported folder to a model repository on the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from rexnet_ai_real.errors import UserError


class NotPushed(UserError):
    """The Hub did not accept the folder; the message says why. The folder itself is complete."""


def require_token() -> None:
    """Stop before the work where nobody is logged in.

    Raises:
        NotPushed: no token is stored or set.
    """
    if not get_token():
        raise NotPushed(
            "not logged in to the Hugging Face Hub: run `hf auth login`, or set HF_TOKEN to a token that writes"
        )


def push(folder: Path, repository: str, *, private: bool, api: HfApi | None = None) -> str:
    """Upload a folder as one commit; the repository is made if it does not exist. Returns its address.

    Args:
        folder: from `export`.
        repository: OWNER/NAME.
        private: of a new repository; an existing one stays as it is.
        api: by default the Hub that HF_ENDPOINT and HF_TOKEN name.

    Raises:
        NotPushed: no token, no right, no connection, or no such owner.
    """
    api = api or HfApi()
    again = f"{folder} is complete; when that is mended: hf upload {repository} {folder}"
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Exported by rexnet-ai-real")
    except HFValidationError as error:
        raise NotPushed(f"{repository} is no name of a repository: expected OWNER/NAME. {again}") from error
    except LocalTokenNotFoundError as error:
        raise NotPushed(f"not logged in to the Hugging Face Hub: run `hf auth login`. {again}") from error
    except HfHubHTTPError as error:
        raise NotPushed(f"the Hub refused {repository}: {_reason(error)}. {again}") from error
    except Exception as error:  # its HTTP library, and so the type of a lost connection, has changed twice by 2.4
        raise NotPushed(f"the Hub was not reached, or did not answer as it should ({_line(error)}). {again}") from error
    return str(address)


def _reason(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    known = {
        401: "the token is not valid (hf auth login)",
        403: "the token has no right to write there: take one that writes, or another owner",
        404: "there is no such owner, or the token may not see it",
    }
    return known.get(status, f"status {status}, {_line(error)}")


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
